"""What clients hear while something that the user service needs is away, and that it recovers by itself."""

import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from devstack.postgres import Postgres
from tests.integration.user_app.conftest import Make
from tests.support.frozen import frozen
from tests.support.waiting import wait_until


@pytest.fixture
def running_again(postgres: Postgres) -> Iterator[Postgres]:
    """The PostgreSQL server for a test that stops it."""
    yield postgres
    postgres.start()


def assert_unavailable(answer: TestResponse, code: str = "unavailable") -> None:
    body: dict[str, Any] = answer.get_json()
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert (body["success"], body["code"]) == (False, code)
    assert body["request_id"] == answer.headers["X-Correlation-ID"]
    assert set(body) == {"success", "message", "code", "request_id"}


def test_postgresql_away_is_a_503_and_over_when_it_is_back(
    make_service: Make, running_again: Postgres
) -> None:
    users = make_service("database")
    user_id = users.new_user("ann@example.com")
    running_again.stop()
    for method, path, fields in (
        ("GET", "/api/profile", None),
        ("PUT", "/api/profile", {"name": "New"}),
        ("POST", "/api/register", {"email": "bob@example.com", "password": "secret12"}),
        ("GET", "/api/preferences", None),
        ("GET", "/api/activity", None),
    ):
        assert_unavailable(users.call(method, path, fields, user_id))
    assert users.call("GET", "/readyz").status_code == 503
    assert users.call("GET", "/healthz").status_code == 200
    running_again.start()
    wait_until(lambda: users.call("GET", "/readyz").status_code == 200)
    assert users.call("GET", "/api/profile", user_id=user_id).status_code == 200
    assert users.register("bob@example.com").status_code == 201


def test_a_frozen_postgresql_is_a_503_in_seconds_and_over_when_it_goes_on(
    make_service: Make, postgres: Postgres
) -> None:
    users = make_service("database")
    user_id = users.new_user("ann@example.com")
    assert users.call("GET", "/api/profile", user_id=user_id).status_code == 200
    with frozen(postgres):
        for method, path, fields in (("GET", "/api/profile", None), ("PUT", "/api/profile", {"name": "New"})):
            started = time.monotonic()
            assert_unavailable(users.call(method, path, fields, user_id))
            assert time.monotonic() - started < 5
    wait_until(lambda: users.call("GET", "/readyz").status_code == 200)
    assert users.call("PUT", "/api/profile", {"name": "New"}, user_id).status_code == 200


def test_while_the_file_is_the_truth_postgresql_is_not_needed_for_profiles(
    make_service: Make, running_again: Postgres
) -> None:
    users = make_service("file")
    user_id = users.new_user("ann@example.com")
    running_again.stop()
    assert users.call("GET", "/api/profile", user_id=user_id).status_code == 200
    assert users.call("PUT", "/api/profile", {"name": "New"}, user_id).status_code == 200
    ready = users.call("GET", "/readyz")
    assert ready.status_code == 200
    assert ready.get_json()["dependencies"]["user_db"]["status"] == "unavailable"
    assert_unavailable(users.call("GET", "/api/preferences", user_id=user_id))


def test_without_the_auth_service_a_registration_leaves_nothing_behind(make_service: Make) -> None:
    for side in ("file", "database"):
        users = make_service(side, auth_service_urls="http://127.0.0.1:9")
        assert_unavailable(users.register("ann@example.com"))
        assert users.rows("SELECT * FROM users") == []
        assert users.legacy is None or users.legacy.run("SELECT * FROM users") == []


def test_a_legacy_file_that_stays_locked_is_a_503_and_free_again_afterwards(make_service: Make) -> None:
    users = make_service("file")
    user_id = users.new_user("ann@example.com")
    assert users.legacy is not None
    other = sqlite3.connect(users.legacy.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert_unavailable(users.call("PUT", "/api/profile", {"name": "New"}, user_id))
    other.execute("ROLLBACK")
    other.close()
    assert users.call("PUT", "/api/profile", {"name": "New"}, user_id).status_code == 200
