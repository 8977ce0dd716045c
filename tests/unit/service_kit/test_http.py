"""What every service has: the envelope, correlation ids, API keys, health, the access log, and no cause in a 5xx."""

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient

from service_kit import http
from service_kit.errors import (
    AppError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from service_kit.health import Check
from service_kit.identity import identity

KEY, OTHER = "sample-key-number-one", "sample-key-number-two"


class Bare(Invalid):
    default_message = "As it was"
    bare = True


def make(checks: dict[str, Check] | None = None) -> FlaskClient:
    app = Flask("service_under_test")
    keys = {"/api/": [KEY, OTHER], "/internal/": [OTHER]}
    http.init_app(
        app,
        SimpleNamespace(max_body_bytes=1000),  # type: ignore[arg-type]
        "user",
        keys_by_prefix=keys,
        checks=checks or {},
    )
    errors: dict[str, Exception] = {
        "invalid": Invalid("Wrong", code="wrong"),
        "bare": Bare(),
        "unauthenticated": Unauthenticated(),
        "forbidden": Forbidden(),
        "missing": NotFound(),
        "conflict": Conflict(),
        "limited": TooManyRequests(retry_after=7),
        "away": Unavailable("the database at 10.0.0.5 is away", retry_after=3),
        "plain": AppError("nobody foresaw this"),
        "broken": ZeroDivisionError("secret12"),
    }

    def fail(name: str) -> str:
        raise errors[name]

    app.add_url_rule("/api/<name>", "fail", fail, methods=["GET", "POST"])
    app.add_url_rule("/internal/x", "internal", lambda: "x")
    app.add_url_rule("/api/who", "who", lambda: {"user_id": identity(request).user_id})
    app.add_url_rule("/api/echo", "echo", http.json_fields, methods=["POST"])
    return app.test_client()


def get(path: str, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return make().get(path, headers={"X-API-Key": KEY, **named})


@pytest.mark.parametrize(
    ("name", "status", "code", "message"),
    [
        ("invalid", 400, "wrong", "Wrong"),
        ("unauthenticated", 401, "unauthenticated", "Access token required"),
        ("forbidden", 403, "forbidden", "Access denied"),
        ("missing", 404, "not_found", "Not found"),
        ("conflict", 409, "conflict", "The request conflicts with the present state"),
        ("limited", 429, "too_many_requests", "Too many requests"),
        ("away", 503, "unavailable", "Service temporarily unavailable"),
        ("plain", 500, "error", "The request could not be processed"),
        ("broken", 500, "internal_error", "Internal server error"),
    ],
)
def test_every_error_comes_in_the_envelope(name: str, status: int, code: str, message: str) -> None:
    answer = get(f"/api/{name}", X_Correlation_ID="id-of-this-test")
    assert answer.status_code == status
    assert answer.get_json() == {
        "success": False,
        "message": message,
        "code": code,
        "request_id": "id-of-this-test",
    }


def test_an_error_that_the_legacy_server_answered_has_its_two_keys_only() -> None:
    assert get("/api/bare").get_json() == {"success": False, "message": "As it was"}


def test_limits_and_outages_say_when_to_come_back() -> None:
    assert get("/api/limited").headers["Retry-After"] == "7"
    assert get("/api/away").headers["Retry-After"] == "3"


def test_what_flask_refuses_comes_in_the_envelope_too() -> None:
    client = make()
    missing = client.get("/api/a/b/c", headers={"X-API-Key": KEY})
    assert (missing.status_code, missing.get_json()["message"]) == (404, "Not Found")
    method = client.delete("/api/bare", headers={"X-API-Key": KEY})
    assert (method.status_code, method.get_json()["code"]) == (405, "method_not_allowed")
    assert "GET" in method.headers["Allow"]
    large = client.post(
        "/api/echo", data=b"x" * 1001, content_type="application/json", headers={"X-API-Key": KEY}
    )
    assert (large.status_code, large.get_json()["success"]) == (413, False)


def test_a_slash_at_the_end_leads_to_the_same_route_and_two_within_to_none() -> None:
    assert get("/api/bare/").status_code == 400
    assert (get("/api//bare").status_code, get("/api//bare").get_json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("given", ["id-of-this-test", "0198c6a5-1111-7222-8333-444455556666"])
def test_a_well_formed_correlation_id_is_taken_over(given: str) -> None:
    assert get("/api/bare", X_Correlation_ID=given).headers["X-Correlation-ID"] == given


@pytest.mark.parametrize(
    "given", ["", "short", "x" * 129, "has space in it", 'quote"quote"', "ünïcödé-ünïcödé"]
)
def test_any_other_correlation_id_is_replaced(given: str) -> None:
    made = get("/api/bare", X_Correlation_ID=given).headers["X-Correlation-ID"]
    assert made != given and len(made) == 36


def test_a_key_opens_its_paths_and_a_wrong_one_looks_like_none() -> None:
    client = make()

    def answer(path: str, key: str | None) -> tuple[int, dict[str, Any] | None]:
        headers = {"X-Correlation-ID": "id-of-this-test"} | ({} if key is None else {"X-API-Key": key})
        got = client.get(path, headers=headers)
        return got.status_code, got.get_json(silent=True)

    refused = answer("/api/bare", None)
    assert refused[0] == 401
    assert answer("/api/bare", "wrong") == answer("/api/bare", "") == answer("/nowhere", KEY) == refused
    assert answer("/internal/x", KEY) == refused
    assert answer("/internal/x", OTHER)[0] == 200
    assert answer("/api/bare", KEY)[0] == answer("/api/bare", OTHER)[0] == 400
    assert answer("/healthz", None)[0] == answer("/readyz", None)[0] == answer("/metrics", None)[0] == 200


def test_readiness_names_each_dependency_and_hides_the_cause() -> None:
    def away() -> None:
        raise ConnectionError("to 10.0.0.5")

    client = make({"store": lambda: {"head": 3}, "extra": lambda: {"status": "unavailable"}, "db": away})
    answer = client.get("/readyz")
    states = {name: state["status"] for name, state in answer.get_json()["dependencies"].items()}
    assert (answer.status_code, states) == (503, {"store": "ok", "extra": "unavailable", "db": "unavailable"})
    assert "10.0.0.5" not in answer.text
    can_do_without = make({"store": lambda: {"head": 3}, "extra": lambda: {"status": "unavailable"}})
    answer = can_do_without.get("/readyz")
    assert (answer.status_code, answer.get_json()["dependencies"]["store"]["head"]) == (200, 3)


def test_requests_are_counted_by_route_not_by_path() -> None:
    client = make()
    for path in ("/api/bare", "/api/invalid", "/api/x/y", "/other"):
        client.get(path, headers={"X-API-Key": KEY})
    metrics = client.get("/metrics").text
    assert 'http_requests_total{method="GET",route="/api/<name>",status="400"} 2.0' in metrics
    assert 'route="unmatched"' in metrics
    assert "/api/bare" not in metrics


def test_the_access_log_has_one_line_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "access")
    make().post(
        "/api/bare?token=secret-in-query",
        json={"password": "secret12"},
        headers={"X-API-Key": KEY, "Authorization": "Bearer abc", "X-User-Id": "7"},
    )
    lines = [record for record in caplog.records if record.name == "access"]
    assert [(line.path, line.status, line.user_id) for line in lines] == [("/api/bare", 400, "7")]  # type: ignore[attr-defined]
    assert not any(word in json.dumps(vars(lines[0]), default=str) for word in ("secret", "abc", KEY))


def test_an_identity_needs_every_header_in_form() -> None:
    whole = {"X-User-Id": "-5", "X-Token-Id": "t", "X-Token-Issued": "1", "X-Token-Expires": "2"}
    client = make()
    assert client.get("/api/who", headers={"X-API-Key": KEY, **whole}).get_json() == {"user_id": -5}
    for name in whole:
        for value in ("", "x1", "1" * 20):
            if name == "X-Token-Id" and value:
                continue
            answer = client.get("/api/who", headers={"X-API-Key": KEY, **whole, name: value})
            assert (answer.status_code, answer.get_json()) == (
                401,
                {"success": False, "message": "Access token required"},
            )


def test_a_service_that_drains_says_so_with_every_answer_and_goes_on_answering() -> None:
    client = make()
    assert "X-Draining" not in client.get("/healthz").headers
    client.application.extensions["draining"].begin()
    assert client.get("/readyz").status_code == 503
    for path, status in (("/healthz", 200), ("/internal/x", 200), ("/api/missing", 404)):
        answer = client.get(path, headers={"X-API-Key": OTHER})
        assert answer.status_code == status
        assert (answer.headers["X-Draining"], answer.headers["Connection"]) == ("1", "close")
