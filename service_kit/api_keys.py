"""Which callers a service listens to: every caller has keys of its own, and two may be valid at once."""

import hmac
from collections.abc import Iterable, Mapping

from flask import Flask, request

from service_kit.errors import Unauthenticated

HEADER = "X-API-Key"
OPEN_PATHS = ("/healthz", "/readyz", "/metrics")


def init_app(app: Flask, keys_by_prefix: Mapping[str, Iterable[str]]) -> None:
    """Refuse every request whose X-API-Key does not open its path.

    `keys_by_prefix`: path prefix -> keys that open it. OPEN_PATHS need none; a path under no prefix opens to
    nobody. A wrong key, a missing one and another caller's key get the same answer.
    """
    table = [(prefix, [key.encode() for key in keys]) for prefix, keys in keys_by_prefix.items()]

    def check() -> None:
        if request.path in OPEN_PATHS:
            return
        given = request.headers.get(HEADER, "").encode("utf-8", "replace")
        accepted = [key for prefix, keys in table if request.path.startswith(prefix) for key in keys]
        if not _matches(given, accepted):
            raise Unauthenticated("A valid API key is required", code="api_key_required")

    app.before_request(check)


def _matches(given: bytes, accepted: Iterable[bytes]) -> bool:
    """Compares with every key, each in constant time, so that the duration tells nothing."""
    found = False
    for key in accepted:
        found |= hmac.compare_digest(given, key)
    return found
