"""What ends a session ends it for every gateway at the next request, and stays so when Redis loses its memory."""

import json
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from sqlalchemy import Engine, create_engine

from auth_app.repository import emails
from devstack.ports import free_port
from devstack.redis import Redis
from devstack.sample import TABLE
from migration.capture import install
from service_kit.truth.legacy_file import LegacyFile
from tests.support.environment import JWT_SECRET
from tests.support.platform import platform
from tests.support.service import ServiceProcess
from tests.support.waiting import wait_until

Answer = tuple[int, dict[str, Any]]


class Clients:
    """Users of two gateways in front of the same services."""

    def __init__(self, urls: list[str], auth: Engine) -> None:
        self.urls = urls
        self.auth = auth

    def heard(self, event_type: str, consumer: str) -> bool:
        """Whether the consumer has dealt with the newest event of a type, of which there is one at least."""
        with self.auth.connect() as connection:
            newest = "SELECT max(position) FROM events WHERE type = %s HAVING count(*) = count(position)"
            position = connection.exec_driver_sql(newest, (event_type,)).scalar_one_or_none()
            query = "SELECT position FROM event_consumers WHERE consumer_id = %s"
            cursor = connection.exec_driver_sql(query, (consumer,)).scalar_one_or_none()
        return position is not None and cursor is not None and cursor >= position

    def copied_email(self, user_id: int) -> str | None:
        """What the auth service knows of the user's email."""
        with self.auth.connect() as connection:
            return emails.email_of(connection, user_id)

    def call(self, method: str, path: str, body: Any = None, token: str = "", gateway: int = 0) -> Answer:
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.urls[gateway] + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def sign_up(self, email: str) -> tuple[int, str]:
        status, body = self.call("POST", "/api/register", {"email": email, "password": "secret12"})
        assert status == 201, body
        return body["user"]["id"], body["token"]

    def log_in(self, email: str, password: str = "secret12") -> str:
        status, body = self.call("POST", "/api/login", {"email": email, "password": password})
        assert status == 200, body
        return str(body["token"])

    def seen(self, token: str) -> list[int]:
        """Status of a profile request at each gateway."""
        return [self.call("GET", "/api/profile", token=token, gateway=n)[0] for n in range(len(self.urls))]


@pytest.fixture(scope="module", params=["file", "database"])
def clients(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_server: Redis
) -> Iterator[Clients]:
    """Two gateways, both services and their events, over a captured legacy file and over PostgreSQL alone."""
    folder = tmp_path_factory.mktemp("sessions")
    urls = {name: _make(request, name) for name in ("user_db", "auth_db")}
    path = folder / "legacy.db"
    with sqlite3.connect(path) as connection:
        connection.execute(TABLE)
    install(LegacyFile(path))
    redis_server.start()
    values: dict[str, Any] = {
        "user_database_url": urls["user_db"],
        "auth_database_url": urls["auth_db"],
        "redis_url": redis_server.url,
        "legacy_sqlite_path": path if request.param == "file" else "",
    }
    with platform(folder, events=True, **values) as running:
        port = free_port()
        environ = running["gateway"].environ | {
            "GATEWAY_PORT": str(port),
            "GATEWAY_METRICS_PORT": str(free_port()),
        }
        with ServiceProcess("gateway_app", environ, port, folder, name="second-gateway") as second:
            engine = create_engine(urls["auth_db"])
            yield Clients([running["gateway"].url, second.url], engine)
            engine.dispose()


def _make(request: pytest.FixtureRequest, kind: str) -> str:
    """A fresh database that lives as long as this module's processes."""
    postgres = request.getfixturevalue("postgres")
    name = f"{kind}_sessions_{request.param}"
    postgres.create_database(
        name,
        {"user_db": "user_service", "auth_db": "auth_service"}[kind],
        request.getfixturevalue("template")(kind),
    )
    request.addfinalizer(lambda: postgres.drop_database(name))
    return str(postgres.url(name)).replace("postgresql://", "postgresql+psycopg2://")


def test_a_logged_out_token_is_refused_at_the_next_request_by_every_gateway(clients: Clients) -> None:
    clients.sign_up("logout@example.com")
    here, there = (clients.log_in("logout@example.com") for _ in range(2))
    assert clients.seen(here) == clients.seen(there) == [200, 200]
    assert clients.call("POST", "/api/logout", token=here, gateway=1)[0] == 200
    assert clients.seen(here) == [403, 403]
    assert clients.seen(there) == [200, 200]
    assert clients.call("POST", "/api/logout", {"scope": "all"}, there)[0] == 200
    assert clients.seen(there) == [403, 403]
    assert clients.seen(clients.log_in("logout@example.com")) == [200, 200]


def test_a_token_of_the_legacy_server_is_accepted_until_it_is_logged_out(clients: Clients) -> None:
    user_id, _ = clients.sign_up("legacy@example.com")
    issued = int(time.time()) - 60
    claims = {"userId": user_id, "email": "legacy@example.com", "iat": issued, "exp": issued + 86400}
    token = jwt.encode(claims, JWT_SECRET, "HS256")
    assert clients.seen(token) == [200, 200]
    assert clients.call("POST", "/api/logout", token=token)[0] == 200
    assert clients.seen(token) == [403, 403]


def test_a_password_change_keeps_its_own_session_and_ends_every_other_one(clients: Clients) -> None:
    clients.sign_up("change@example.com")
    here, there = (clients.log_in("change@example.com") for _ in range(2))
    body = {"currentPassword": "secret12", "newPassword": "secret99"}
    assert clients.call("PUT", "/api/change-password", body, here)[0] == 200
    assert (clients.seen(here), clients.seen(there)) == ([200, 200], [403, 403])
    later = clients.log_in("change@example.com", "secret99")
    wait_until(lambda: clients.heard("user.password.changed", "auth.session-revocation"), 15, "the event")
    assert clients.seen(here) == clients.seen(later) == [200, 200], "the event ends nothing that came later"


def test_a_new_address_leaves_the_old_token_valid_and_both_are_one_session(clients: Clients) -> None:
    clients.sign_up("before@example.com")
    old = clients.log_in("before@example.com")
    status, body = clients.call("PUT", "/api/profile", {"email": "after@example.com"}, old)
    assert status == 200
    new = body["token"]
    assert clients.seen(old) == clients.seen(new) == [200, 200]
    sessions = clients.call("GET", "/api/sessions", token=new)[1]["sessions"]
    assert [session["current"] for session in sessions] == [True, False], "this login and the registration"
    clients.call("POST", "/api/logout", token=new)
    assert clients.seen(old) == clients.seen(new) == [403, 403]


def test_the_auth_service_hears_of_new_users_and_new_addresses(clients: Clients) -> None:
    user_id, token = clients.sign_up("heard@example.com")
    wait_until(lambda: clients.copied_email(user_id) == "heard@example.com", 15, "the registration's event")
    clients.call("PUT", "/api/profile", {"email": "moved@example.com"}, token)
    wait_until(lambda: clients.copied_email(user_id) == "moved@example.com", 15, "the change's event")


def test_one_session_is_revoked_from_another_and_only_by_its_user(clients: Clients) -> None:
    clients.sign_up("revoke@example.com")
    _, stranger = clients.sign_up("stranger@example.com")
    here, there = (clients.log_in("revoke@example.com") for _ in range(2))
    sessions = clients.call("GET", "/api/sessions", token=there)[1]["sessions"]
    target = next(session["id"] for session in sessions if session["current"])
    assert clients.call("DELETE", f"/api/sessions/{target}", token=stranger)[0] == 404
    assert clients.seen(there) == [200, 200]
    assert clients.call("DELETE", f"/api/sessions/{target}", token=here)[0] == 200
    assert (clients.seen(there), clients.seen(here)) == ([403, 403], [200, 200])


def test_an_ended_session_stays_ended_when_redis_restarts_empty(
    clients: Clients, redis_server: Redis
) -> None:
    clients.sign_up("redis@example.com")
    ended, good = (clients.log_in("redis@example.com") for _ in range(2))
    assert clients.call("POST", "/api/logout", token=ended)[0] == 200
    redis_server.kill()
    assert set(clients.seen(ended) + clients.seen(good)) <= {403, 503}
    assert clients.log_in("redis@example.com"), "logging in needs no Redis"
    redis_server.start()
    answers: list[int] = []

    def whole_again() -> bool:
        answers.extend(clients.seen(ended))
        return clients.seen(good) == [200, 200]

    wait_until(whole_again, 10, "the filled Redis")
    assert set(answers + clients.seen(ended)) <= {403, 503}
    assert clients.seen(ended) == [403, 403]
