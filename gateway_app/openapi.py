"""The API's description, OpenAPI 3.1: every route that clients have, with what it takes and what it answers."""

from typing import Any

from gateway_app.openapi_schemas import INT64, SCHEMAS, SESSION_ID, Schema, ref

_STATUS = {
    400: "The request is not valid, or its fields are not",
    401: "A token is missing, or the credentials are wrong",
    403: "The token is invalid, expired or revoked",
    404: "Not found",
    405: "The route does not know this method",
    408: "The request took too long to arrive",
    409: "The request contradicts the present state",
    413: "The body is too large",
    414: "The address is too long",
    415: "The body's charset or coding is not known",
    429: "Too many requests; `Retry-After` says when to come again",
    431: "The header fields are too large",
    500: "An error of ours",
    502: "A service gave no proper answer",
    503: "Not available for the moment; `Retry-After` says when to come again",
    504: "A service took too long",
}
_EVERYWHERE = (400, 405, 408, 414, 429, 431, 500, 503)
_PASSED_ON = (*_EVERYWHERE, 404, 502, 504)
_WITH_BODY = (413, 415)

_RATE_FIELDS = {
    "RateLimit": "What is left of each limit, and seconds until it begins anew.",
    "RateLimit-Policy": "The limits that hold for this request.",
    "X-RateLimit-Limit": "Requests allowed in the window with the least left.",
    "X-RateLimit-Remaining": "Requests left in it.",
    "X-RateLimit-Reset": "When it begins anew, in seconds since 1970.",
    "X-Correlation-ID": "Names this request in every log; taken from the request when it is well formed.",
}


def document() -> dict[str, Any]:
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "User platform",
            "version": "1.0.0",
            "description": "Accounts, profiles and sessions. Every answer is JSON with `success` and `message`.",
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "account", "description": "Registration, login, passwords"},
            {"name": "profile", "description": "What a user is and likes"},
            {"name": "sessions", "description": "Where a user is logged in"},
            {"name": "service", "description": "About the API itself"},
        ],
        "paths": _account() | _profile() | _sessions() | _service(),
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "headers": {
                name: {"description": text, "schema": {"type": "string"}}
                for name, text in _RATE_FIELDS.items()
            },
        },
    }


def _account() -> dict[str, Any]:
    return {
        "/api/register": {
            "post": _operation(
                "account", "Register a user", 201, "LoggedIn", body="Registration", public=True
            ),
        },
        "/api/login": {
            "post": _operation(
                "account", "Log in", 200, "LoggedIn", body="Credentials", public=True, also=(401,)
            ),
        },
        "/api/change-password": {
            "put": _operation(
                "account",
                "Change the password; ends all other sessions",
                200,
                "Done",
                body="PasswordChange",
                also=(409,),
            ),
        },
        "/api/logout": {
            "post": _operation(
                "account",
                'End this session, or with `{"scope": "all"}` every session',
                200,
                "Done",
                body="Logout",
                body_required=False,
            ),
        },
    }


def _profile() -> dict[str, Any]:
    return {
        "/api/profile": {
            "get": _operation("profile", "The user's own profile", 200, "ProfileFound"),
            "put": _operation("profile", "Change name or email", 200, "ProfileChanged", body="ProfileChange"),
        },
        "/api/preferences": {
            "get": _operation("profile", "The user's preferences", 200, "PreferencesFound"),
            "put": _operation(
                "profile", "Change preferences", 200, "PreferencesFound", body="PreferencesChange"
            ),
        },
        "/api/activity": {
            "get": _operation(
                "profile",
                "What the user did lately, newest first",
                200,
                "ActivityFound",
                parameters=[
                    _query("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
                    _query("before", INT64 | {"minimum": 1}, "`next` of the page before."),
                ],
            ),
        },
    }


def _sessions() -> dict[str, Any]:
    session_id = {"name": "id", "in": "path", "required": True, "schema": SESSION_ID}
    return {
        "/api/sessions": {"get": _operation("sessions", "Where the user is logged in", 200, "SessionsFound")},
        "/api/sessions/{id}": {
            "delete": _operation("sessions", "End one session", 200, "Done", parameters=[session_id]),
        },
    }


def _service() -> dict[str, Any]:
    details = _query("details", {"enum": ["1"]}, "Adds the state of every service and dependency.")
    return {
        "/api/health": {
            "get": _operation(
                "service",
                "Whether the API answers",
                200,
                "Health",
                parameters=[details],
                public=True,
                own=True,
            ),
        },
        "/api/openapi.json": {
            "get": _operation("service", "This description", 200, None, public=True, own=True),
        },
        "/api/docs": {
            "get": _operation(
                "service", "This description, to read", 200, None, public=True, own=True, media="text/html"
            ),
        },
    }


def _operation(
    tag: str,
    summary: str,
    status: int,
    answer: str | None,
    *,
    body: str | None = None,
    body_required: bool = True,
    parameters: list[Schema] | None = None,
    public: bool = False,
    own: bool = False,
    also: tuple[int, ...] = (),
    media: str = "application/json",
) -> dict[str, Any]:
    """One method of a path. `own`: the gateway answers itself; `also`: further statuses it may answer with."""
    schema = ref(answer) if answer else {"type": "object" if media == "application/json" else "string"}
    statuses = [*(_EVERYWHERE if own else _PASSED_ON), *also]
    if body:
        statuses += _WITH_BODY
    if not public:
        statuses += [401, 403]
    found: dict[str, Any] = {
        "tags": [tag],
        "summary": summary,
        "responses": {str(status): _response("Done", schema, media)}
        | {str(s): _response(_STATUS[s], ref("Error"), "application/json") for s in sorted(set(statuses))},
    }
    if parameters:
        found["parameters"] = parameters
    if body:
        found["requestBody"] = {
            "required": body_required,
            "content": {"application/json": {"schema": ref(body)}},
        }
    if not public:
        found["security"] = [{"token": []}]
    return found


def _response(description: str, schema: Schema, media: str) -> dict[str, Any]:
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in _RATE_FIELDS}
    return {"description": description, "headers": headers, "content": {media: {"schema": schema}}}


def _query(name: str, schema: Schema, description: str = "") -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": description}
