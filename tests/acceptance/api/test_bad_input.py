"""Whatever is sent: a 4xx in the envelope, never a 5xx, never a trace of the inside, and the service stays up."""

import gzip
import itertools
from typing import Any

import pytest

from tests.acceptance.api.conftest import Answer, Api

GOOD = {
    "POST /api/register": {"email": "good@example.com", "password": "sample-pass", "name": "Good"},
    "POST /api/login": {"email": "good@example.com", "password": "sample-pass"},
    "PUT /api/profile": {"email": "good@example.com", "name": "Good"},
    "PUT /api/change-password": {"currentPassword": "sample-pass", "newPassword": "sample-pass2"},
    "PUT /api/preferences": {"theme": "dark", "language": "en", "notifications_enabled": True},
    "POST /api/logout": {"scope": "all"},
}
MISSING = object()
BAD_VALUES: dict[str, Any] = {
    "null": None,
    "object": {"$ne": ""},
    "array": ["good@example.com"],
    "nested arrays": [[["x"]]],
    "empty object": {},
    "huge number": 10**400,
    "long text": "x" * 200_000,
    "NUL": "a\x00b",
    "lone surrogate": "a\ud800b",
    "control characters": "a\x01\x1f\x7f\r\nb",
}
FIELDS = [(route, name) for route, body in GOOD.items() for name in body]
ENVELOPE_KEYS = {"success", "message"}
SIGNS_OF_THE_INSIDE = (b"Traceback", b"psycopg2", b"sqlalchemy", b".py", b"sqlite3.", b"werkzeug")


def is_refused_politely(answer: Answer) -> bool:
    """A 4xx whose body is the envelope and shows nothing of the inside."""
    if not 400 <= answer.status < 500 or any(sign in answer.body for sign in SIGNS_OF_THE_INSIDE):
        return False
    return answer.json["success"] is False and set(answer.json) >= ENVELOPE_KEYS


def may_be_text(route: str, field: str, kind: str) -> bool:
    """Fields in which odd text is still text: passwords are any bytes, and names may be long or hold controls."""
    if field == "name" and kind == "huge number":
        return True  # a number becomes its text, as in JavaScript
    if field in ("password", "newPassword", "currentPassword", "name"):
        return kind in ("control characters", "long text", "NUL", "lone surrogate")
    return False


@pytest.mark.parametrize(("route", "field"), FIELDS, ids=[f"{route} {name}" for route, name in FIELDS])
@pytest.mark.parametrize("kind", BAD_VALUES)
def test_a_field_of_the_wrong_kind_is_refused(
    api: Api, shared_token: str, route: str, field: str, kind: str
) -> None:
    method, path = route.split()
    answer = api.send(method, path, {**GOOD[route], field: BAD_VALUES[kind]}, shared_token)
    if may_be_text(route, field, kind) and answer.status < 300:
        return
    assert is_refused_politely(answer), answer


@pytest.mark.parametrize("route", ["POST /api/register", "POST /api/login", "PUT /api/change-password"])
def test_missing_fields_are_listed(api: Api, token: str, route: str) -> None:
    method, path = route.split()
    answer = api.send(method, path, {}, token)
    assert answer.status == 400
    assert {error["path"] for error in answer.json["errors"]} == {
        name for name in GOOD[route] if name != "name"
    }


BODIES = {
    "no JSON": b"email=ann@example.com",
    "cut JSON": b'{"email":',
    "a number": b"42",
    "a string": b'"text"',
    "NaN": b'{"email": NaN}',
    "deep nesting": b'{"email":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "invalid UTF-8": b'{"email": "\xff\xfe@example.com"}',
    "UTF-16 without saying so": '{"email": "ann@example.com"}'.encode("utf-16"),
    "nothing": b"",
    "NULs": b"\x00" * 64,
    "an array": b"[]",
}


@pytest.mark.parametrize("route", GOOD)
@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_is_no_object_is_refused(api: Api, token: str, route: str, kind: str) -> None:
    method, path = route.split()
    answer = api.send(method, path, BODIES[kind], token)
    if path == "/api/logout" and kind in ("nothing", "an array"):
        assert answer.status == 200  # its body is optional
        return
    assert is_refused_politely(answer), answer


@pytest.mark.parametrize("route", ["POST /api/register", "POST /api/login"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/x-www-form-urlencoded"},
        {"Content_Type": "application/json; charset=klingon"},
        {"Content_Encoding": "br"},
        {"Content_Encoding": "gzip"},
    ],
    ids=lambda headers: next(iter(headers.values())),
)
def test_a_body_in_another_form_than_it_says_is_refused(
    api: Api, route: str, headers: dict[str, str]
) -> None:
    method, path = route.split()
    answer = api.send(method, path, b'{"email": "ann@example.com", "password": "sample-pass"}', **headers)
    assert is_refused_politely(answer), answer


def test_a_gzip_bomb_is_refused_without_being_unpacked_whole(api: Api) -> None:
    bomb = gzip.compress(b" " * 200_000_000, 1)
    answer = api.send("POST", "/api/login", bomb, Content_Encoding="gzip")
    assert is_refused_politely(answer), answer


def test_a_body_over_the_limit_is_refused_before_it_is_sent(api: Api) -> None:
    answer = api.send("POST", "/api/login", b"{" + b" " * (1 << 20) + b"}")
    assert answer.status == 413
    assert is_refused_politely(answer)


PATHS = [
    "/api/profile%00",
    "/api/../internal/users/lookup",
    "/api/%2e%2e/internal/users/lookup",
    "/api//profile",
    "//api/profile",
    "/api/profile/..",
    "/api%2fprofile",
    "/internal/users/lookup",
    "/internal/events",
    "/metrics",
    "/api/sessions/%00",
    "/api/sessions/../profile",
    "/api/sessions/not-a-uuid",
    "/api/" + "x" * 9000,
    "/api/profile;jsessionid=1",
    "/%ff%fe",
]


@pytest.mark.parametrize(
    ("path", "method"),
    list(itertools.product(PATHS, ["GET", "POST", "DELETE"])),
    ids=lambda value: value[:40],
)
def test_an_odd_path_leads_nowhere(api: Api, shared_token: str, path: str, method: str) -> None:
    answer = api.send(method, path, token=shared_token)
    assert is_refused_politely(answer), answer


QUERIES = [
    "limit=-1",
    "limit=0",
    "limit=1e9",
    "limit=abc",
    "limit=" + "9" * 400,
    "before=%00",
    "before=%ff",
    "before=-1",
    "before[]=1",
]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:20])
def test_an_odd_query_is_refused(api: Api, token: str, query: str) -> None:
    answer = api.send("GET", f"/api/activity?{query}", token=token)
    if query == "before[]=1":
        assert answer.status == 200  # a name that nobody knows
        return
    assert is_refused_politely(answer), answer


@pytest.mark.parametrize("method", ["TRACE", "PATCH", "BREW", "CONNECT", "PROPFIND"])
def test_an_unknown_method_is_refused_with_what_is_allowed(api: Api, token: str, method: str) -> None:
    answer = api.send(method, "/api/profile", token=token)
    assert answer.status == 405
    assert {"GET", "PUT"} <= set(answer.headers["allow"].replace(" ", "").split(","))


BAD_TOKENS = [
    "Bearer",
    "Bearer ",
    "Bearer a.b.c",
    "Bearer " + "x" * 8000,
    "Basic YTpi",
    "Bearer eyJhbGciOiJub25lIn0.eyJ1c2VySWQiOjF9.",
]


@pytest.mark.parametrize("authorization", BAD_TOKENS, ids=lambda value: value[:24])
def test_a_bad_token_is_told_as_the_legacy_server_did(api: Api, authorization: str) -> None:
    answer = api.send("GET", "/api/profile", Authorization=authorization)
    expected = {401: "Access token required", 403: "Invalid or expired token"}
    assert answer.json["message"] == expected[answer.status]


def test_after_all_of_it_the_service_is_up(api: Api, token: str) -> None:
    assert api.send("GET", "/api/profile", token=token).status == 200
    assert api.send("GET", "/api/health?details=1").json["status"] == "ok"
