"""Which header fields cross the gateway, in either direction."""

import pytest

from gateway_app.headers import HELMET, forwarded_fields, returned_fields
from gateway_app.http1.framing import parse_head


def forwarded(*lines: str) -> list[str]:
    """The lines that a service gets of a client's."""
    head = "\r\n".join(["GET / HTTP/1.1", "Host: gateway", *lines])
    return forwarded_fields(parse_head(head.encode()).fields).splitlines()


@pytest.mark.parametrize(
    "name",
    [
        "X-User-Id",
        "x-user-email",
        "X-USER-ANYTHING",
        "X_User_Id",
        "X-User_Id",
        "X_USER_ID",
        "X-Token-Id",
        "X_Token_Expires",
        "X-API-Key",
        "X_API_KEY",
        "X-Forwarded-For",
        "X_Forwarded_For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "Forwarded",
        "X-Real-IP",
        "X_Real_IP",
        "X-Client-IP",
        "X-Correlation-ID",
        "X-Original-URL",
        "X-HTTP-Method-Override",
        "Authorization",
        "Proxy",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "HTTP2-Settings",
        "Host",
        "Expect",
    ],
)
def test_a_client_cannot_set_what_is_not_its_to_set(name: str) -> None:
    if name not in ("Host", "Expect"):  # these two the parser itself refuses to have twice, or at all
        assert forwarded(f"{name}: 1") == []
    assert forwarded() == []


def test_what_a_connection_nominates_ends_there() -> None:
    kept = forwarded(
        "Connection: close, X-Secret, Accept", "X-Secret: 1", "Accept: text/plain", "Accept-Language: de"
    )
    assert kept == ["Accept-Language: de"]


def test_everything_else_goes_on() -> None:
    lines = [
        "Accept: */*",
        "Content-Type: application/json",
        "Traceparent: 00-1",
        "User-Agent: x",
        "Cookie: a=1",
    ]
    assert sorted(forwarded("Connection: keep-alive", *lines)) == sorted(lines)


def test_an_answer_loses_what_is_the_gateways_to_say() -> None:
    fields = [
        ("content-type", "application/json"),
        ("server", "granian"),
        ("date", "now"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("content-length", "5"),
        ("x-correlation-id", "spoofed"),
        ("x-draining", "1"),
        ("access-control-allow-origin", "*"),
        ("x-ratelimit-limit", "1"),
        ("etag", '"1"'),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        *[(name.lower(), "weaker") for name, _ in HELMET],
    ]
    assert returned_fields(fields) == [
        ("content-type", "application/json"),
        ("etag", '"1"'),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    ]
