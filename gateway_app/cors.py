"""Cross-origin requests: flask-cors decides, for the gateway's own routes and for those that it passes on."""

import re
from collections.abc import Iterable
from typing import Any

from flask_cors.core import DEFAULT_OPTIONS, get_cors_headers, serialize_options
from werkzeug.datastructures import Headers as RequestHeaders

Headers = list[tuple[str, str]]

EXPOSED = (
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Correlation-ID",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
)
PREFLIGHT_SECONDS = 600
MAX_KNOWN_ORIGINS = 256


def cors_options(origins: Iterable[str]) -> dict[str, Any]:
    """Options for flask-cors. Origins become patterns that match themselves only: flask-cors reads a name with
    brackets (an IPv6 address) as a pattern otherwise.
    """
    return {
        "origins": [re.compile(re.escape(origin) + r"\Z", re.IGNORECASE) for origin in origins],
        "methods": ["DELETE", "GET", "HEAD", "OPTIONS", "PUT", "POST"],
        "supports_credentials": True,
        "expose_headers": list(EXPOSED),
        "max_age": PREFLIGHT_SECONDS,
        "always_send": False,
    }


class Cors:
    """flask-cors outside of Flask: the same function makes the fields, remembered by origin."""

    def __init__(self, origins: Iterable[str]) -> None:
        self.options = cors_options(origins)
        self._computed = serialize_options({**DEFAULT_OPTIONS, **self.options})
        self._known: dict[str, Headers] = {}

    def fields(self, origin: str | None) -> Headers:
        """Fields for the answer to a request of this origin. Always `Vary`: caches must not mix origins up."""
        if origin is None:
            return _VARY
        fields = self._known.get(origin)
        if fields is None:
            fields = self._make({"Origin": origin}, "GET")
            if len(self._known) < MAX_KNOWN_ORIGINS:
                self._known[origin] = fields
        return fields

    def preflight(self, origin: str | None, method: str | None, headers: str | None) -> Headers:
        """Fields for the answer to an OPTIONS request."""
        if origin is None:
            return _VARY
        asked = {"Origin": origin}
        if method is not None:
            asked["Access-Control-Request-Method"] = method
        if headers is not None:
            asked["Access-Control-Request-Headers"] = headers
        return self._make(asked, "OPTIONS")

    def _make(self, request: dict[str, str], method: str) -> Headers:
        made = get_cors_headers(self._computed, RequestHeaders(list(request.items())), method)
        return [(name, str(value)) for name, value in made.items() if name != "Vary"] + _VARY


_VARY: Headers = [("Vary", "Origin")]
