"""Header fields: what goes on to a service, what comes back from it, and what every answer carries. Pure."""

from collections.abc import Mapping

Headers = list[tuple[str, str]]

_HELMET = {
    "Content-Security-Policy": "default-src 'self';base-uri 'self';font-src 'self' https: data:;"
    "form-action 'self';frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';"
    "script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Origin-Agent-Cluster": "?1",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-DNS-Prefetch-Control": "off",
    "X-Download-Options": "noopen",
    "X-Frame-Options": "SAMEORIGIN",
    "X-Permitted-Cross-Domain-Policies": "none",
    "X-XSS-Protection": "0",
}
HELMET: Headers = list(_HELMET.items())
"""The fields that helmet 8 sets by default (helmetjs/helmet, README), in its order."""

HOP_BY_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "proxy",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
    ]
)
"""Fields that mean one connection only (RFC 9110 7.6.1), and `Proxy`, which CGI turns into HTTP_PROXY."""

_OURS = frozenset(
    [
        "host",
        "content-length",
        "authorization",
        "expect",
        "x-api-key",
        "x-correlation-id",
        "forwarded",
        "x-real-ip",
        "x-client-ip",
        "true-client-ip",
        "x-cluster-client-ip",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ]
)
"""Fields that the gateway sets, or checks, itself; a client's own never reach a service."""

_OUR_PREFIXES = ("x-user-", "x-token-", "x-forwarded-")

_NOT_RETURNED = (
    HOP_BY_HOP
    | frozenset(name.lower() for name in _HELMET)
    | frozenset(["content-length", "server", "date", "x-powered-by", "x-draining", "x-correlation-id"])
    | frozenset(
        ["ratelimit", "ratelimit-policy", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]
    )
)

_KEPT_NAMES = 512
_forwarded: dict[str, str] = {}


def forwarded_fields(environ: Mapping[str, object]) -> str:
    """The client's fields that a service gets, as lines. Names are spelled anew: `X-User-Id` cannot come in
    through another spelling, because WSGI's keys know only one.
    """
    nominated = _nominated(environ.get("HTTP_CONNECTION"))
    lines = []
    for key, value in environ.items():
        prefix = _forwarded.get(key)
        if prefix is None:
            prefix = _prefix(key)
        if prefix and not (nominated and prefix[:-2].lower() in nominated):
            lines.append(f"{prefix}{value}\r\n")
    return "".join(lines)


def _nominated(connection: object) -> frozenset[str]:
    """Names that the client's `Connection` field declares to be for this connection only."""
    if not isinstance(connection, str) or connection.lower() in ("keep-alive", "close"):
        return frozenset()
    return frozenset(option.strip().lower() for option in connection.split(","))


def _prefix(key: str) -> str:
    """`User-Agent: ` for HTTP_USER_AGENT, empty for what stays here."""
    if key == "CONTENT_TYPE":
        name = "content-type"
    elif key.startswith("HTTP_"):
        name = key[5:].lower().replace("_", "-")
    else:
        name = ""
    keep = name and name not in HOP_BY_HOP and name not in _OURS and not name.startswith(_OUR_PREFIXES)
    prefix = f"{name.title()}: " if keep else ""
    if len(_forwarded) < _KEPT_NAMES:
        _forwarded[key] = prefix
    return prefix


def returned_fields(fields: Headers) -> Headers:
    """A service's fields (names in lower case) that the client gets."""
    kept = [
        field
        for field in fields
        if field[0] not in _NOT_RETURNED and not field[0].startswith("access-control-")
    ]
    nominated = [value for name, value in fields if name == "connection" and value != "keep-alive"]
    if nominated:
        named = {option.strip().lower() for value in nominated for option in value.split(",")}
        kept = [field for field in kept if field[0] not in named]
    return kept
