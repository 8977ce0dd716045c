"""The routing table, and which request targets may be looked up in it at all. Pure."""

import re
from dataclasses import dataclass
from http import HTTPStatus

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
"""What any route may know; another method is refused before anything else is asked."""


@dataclass(frozen=True, slots=True)
class Route:
    """One row. `path` is also the label in logs and metrics; `service` is empty for what the gateway answers
    itself; `policy` names the rate limits.
    """

    path: str
    methods: tuple[str, ...]
    service: str
    public: bool = False
    policy: str = "default"

    @property
    def allow(self) -> str:
        """Value of the `Allow` header."""
        implied = ("HEAD", "OPTIONS") if "GET" in self.methods else ("OPTIONS",)
        return ", ".join(sorted((*self.methods, *implied)))

    def allows(self, method: str) -> bool:
        """Whether the route takes this method; HEAD wherever it takes GET."""
        return method in self.methods or (method == "HEAD" and "GET" in self.methods)


SESSION = Route("/api/sessions/{id}", ("DELETE",), "auth")

ROUTES = (
    Route("/api/register", ("POST",), "user", public=True, policy="credentials"),
    Route("/api/login", ("POST",), "auth", public=True, policy="credentials"),
    Route("/api/profile", ("GET", "PUT"), "user"),
    Route("/api/change-password", ("PUT",), "auth"),
    Route("/api/preferences", ("GET", "PUT"), "user"),
    Route("/api/activity", ("GET",), "user"),
    Route("/api/logout", ("POST",), "auth"),
    Route("/api/sessions", ("GET",), "auth"),
    SESSION,
    Route("/api/health", ("GET",), "", public=True),
    Route("/api/openapi.json", ("GET",), "", public=True),
    Route("/api/docs", ("GET",), "", public=True),
    Route("/healthz", ("GET",), "", public=True, policy=""),
    Route("/readyz", ("GET",), "", public=True, policy=""),
)

_TABLE = {route.path: route for route in ROUTES if route is not SESSION}
_SESSION_PATH = re.compile(r"/api/sessions/([A-Za-z0-9_-]{1,64})", re.IGNORECASE)
_ABSOLUTE = re.compile(r"https?://[^/?]*", re.IGNORECASE)
_BAD_PATH = re.compile(
    r"//|/\.{1,2}(?:/|$)|\\|%(?![0-9A-Fa-f]{2})|%(?:0[0-9A-F]|1[0-9A-F]|2[EF]|5C|7F)", re.IGNORECASE
)


class NoRoute(Exception):
    """The request leads nowhere: `status` says how, `allow` is set for a method that is not allowed."""

    def __init__(self, status: HTTPStatus, code: str, message: str, route: Route | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.route = route


@dataclass(frozen=True, slots=True)
class Destination:
    """A route and the target under which its service knows it."""

    route: Route
    target: str


def find(method: str, target: str) -> Destination:
    """Looks up a request target (origin or absolute form).

    Paths are compared as the monolith's router did: case does not matter, nor does one slash at the end. They are
    never decoded: no route needs it, so that an encoded path can only be an attempt to be read twice.

    Raises:
        NoRoute: 400 for a target that two readers could understand differently, 404, or 405.
    """
    route = _TABLE.get(target)
    if route is not None and method in route.methods:
        return Destination(route, target)  # how nearly all requests come
    if method not in METHODS:
        raise NoRoute(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed")
    path, _, query = _origin_form(target).partition("?")
    if _BAD_PATH.search(path) or "%00" in query:
        raise NoRoute(HTTPStatus.BAD_REQUEST, "bad_path", "The address is malformed")
    if len(path) > 1 and path.endswith("/"):
        path = path[:-1]
    route = _TABLE.get(path.lower())
    if route is None and (match := _SESSION_PATH.fullmatch(path)):
        route, path = SESSION, f"/api/sessions/{match[1]}"
    elif route is not None:
        path = route.path
    if route is None:
        raise NoRoute(HTTPStatus.NOT_FOUND, "not_found", "Not found")
    if method != "OPTIONS" and not route.allows(method):
        raise NoRoute(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed", route)
    return Destination(route, f"{path}?{query}" if query else path)


def _origin_form(target: str) -> str:
    if target.startswith("/"):
        return target
    match = _ABSOLUTE.match(target)
    if match:
        rest = target[match.end() :]
        return rest if rest.startswith("/") else f"/{rest}"
    if target == "*":
        return "/"
    raise NoRoute(HTTPStatus.BAD_REQUEST, "bad_path", "The address is malformed")
