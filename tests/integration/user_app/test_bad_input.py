"""Whatever a field or a body holds: a 4xx in the envelope, and the service stays up. On both sides."""

import gzip
import json
from typing import Any

import pytest

from tests.integration.user_app.support import UserService

WRONG: list[Any] = [
    None,
    True,
    7,
    1.5,
    [],
    ["text"],
    [["deep"]],
    {},
    {"a": 1},
    {"toString": "x"},
    "",
    "a\0b@example.com",
    "secret\0secret",
    "\ud800",
    "\udfff@example.com",
    "tab\tand\x1bescape",
    "line\r\nbreak@example.com",
    "\x85\u009f",
    "x" * 5000,
    "x" * 5000 + "@example.com",
    "' OR 1=1 --",
]
FIELDS = [
    ("POST", "/api/register", {"email": "new@example.com", "password": "secret12", "name": "New"}),
    ("PUT", "/api/profile", {"name": "New", "email": "new@example.com"}),
    ("PUT", "/api/preferences", {"theme": "dark", "language": "en", "notifications_enabled": True}),
]
FINE = [
    ("name", True),
    ("name", 7),
    ("name", 1.5),
    ("name", "' OR 1=1 --"),
    ("password", "' OR 1=1 --"),
    ("notifications_enabled", True),
]
BODIES: list[tuple[bytes, str, dict[str, str], int]] = [
    (b"", "application/json", {}, 400),
    (b"not json", "application/json", {}, 400),
    (b'{"email":', "application/json", {}, 400),
    (b'"text"', "application/json", {}, 400),
    (b"5", "application/json", {}, 400),
    (b"null", "application/json", {}, 400),
    (b"[]", "application/json", {}, 400),
    (b'{"email": NaN}', "application/json", {}, 400),
    (b'{"email": Infinity, "password": -Infinity}', "application/json", {}, 400),
    (b'{"email": 1e999, "password": 1e-999, "name": "x"}', "application/json", {}, 400),
    (b'{"email": ' + b"9" * 9000 + b"}", "application/json", {}, 400),
    (b'{"a":' * 2000 + b"1" + b"}" * 2000, "application/json", {}, 400),
    (b"[" * 100_000, "application/json", {}, 400),
    (b'{"email": "\xff\xfe"}', "application/json", {}, 400),
    (b'{"email": "a\x01"}', "application/json", {}, 400),
    (b'{"email": "\\ud800"}', "application/json", {}, 400),
    (b"email=a@b.co&password=secret12", "application/x-www-form-urlencoded", {}, 400),
    (b"{}", "text/plain", {}, 400),
    (b"{}", "application/json; charset=latin1", {}, 415),
    (b"{}", "application/json; charset=utf-7", {}, 415),
    (b"{}", "application/json", {"Content-Encoding": "br"}, 415),
    (b"{}", "application/json", {"Content-Encoding": "gzip"}, 400),
    (
        gzip.compress(b'{"a":"' + b"x" * 20_000_000 + b'"}'),
        "application/json",
        {"Content-Encoding": "gzip"},
        413,
    ),
    (b'{"a":"' + b"x" * (1 << 20) + b'"}', "application/json", {}, 413),
]


def assert_refused(answer: Any, what: object) -> None:
    assert 400 <= answer.status_code < 500, (what, answer.status_code, answer.text[:300])
    body = answer.get_json()
    assert body["success"] is False and isinstance(body["message"], str), what
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(("method", "path", "fields"), FIELDS, ids=[path for _, path, _ in FIELDS])
def test_no_field_takes_what_it_cannot_keep(
    users: UserService, method: str, path: str, fields: dict[str, Any]
) -> None:
    user_id = users.new_user("ann@example.com")
    for field in fields:
        for wrong in WRONG:
            if any(field == name and type(wrong) is type(fine) and wrong == fine for name, fine in FINE):
                continue
            answer = users.call(method, path, user_id=user_id, **as_json({**fields, field: wrong}))
            assert_refused(answer, (field, wrong))
            if "errors" in answer.get_json():
                assert {error["path"] for error in answer.get_json()["errors"]} == {field}
    assert users.call("GET", "/readyz").status_code == 200
    assert users.look_up("ann@example.com").get_json()["name"] == "Ann Lee"
    assert users.look_up("new@example.com").status_code == 404


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/register"), ("PUT", "/api/profile")])
def test_no_body_brings_the_service_down(users: UserService, method: str, path: str) -> None:
    user_id = users.new_user("ann@example.com")
    for data, content_type, headers, status in BODIES:
        answer = users.call(
            method, path, user_id=user_id, data=data, content_type=content_type, headers=headers
        )
        assert_refused(answer, (data[:60], content_type, headers))
        assert answer.status_code == status, (data[:60], content_type, headers, answer.text[:200])
    assert users.call("GET", "/readyz").status_code == 200


def test_only_callers_with_their_key_are_heard(users: UserService) -> None:
    for headers in ({"X-API-Key": ""}, {"X-API-Key": "wrong"}, {"X-API-Key": "\udcff"}):
        answer = users.call("GET", "/api/profile", user_id=1, headers=headers)
        assert (answer.status_code, answer.get_json()["code"]) == (401, "api_key_required")
    assert users.call("POST", "/internal/users/lookup", {"email": "a"}).status_code == 401
    assert users.call("GET", "/internal/events").status_code == 401
    unknown = users.call("GET", "/nowhere")
    assert (unknown.status_code, unknown.get_json()["code"]) == (401, "api_key_required")


def test_look_ups_take_only_texts(users: UserService) -> None:
    for wrong in WRONG:
        answer = users.look_up(wrong)
        assert answer.status_code in (400, 404), wrong


def as_json(value: Any) -> dict[str, Any]:
    return {"data": json.dumps(value), "content_type": "application/json"}
