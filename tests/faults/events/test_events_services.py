"""The real consumers in their real processes, over the real feeds, while those are killed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from devstack.ports import free_port
from service_kit.db import engine_for
from service_kit.events import catalog, store
from tests.support.environment import service_environment
from tests.support.events import rows, scalar
from tests.support.service import ServiceProcess
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]
USERS = 20
ACTIVITY = "SELECT user_id, event_id::text, type FROM user_activity ORDER BY occurred_at, event_id"


class Services:
    """Both services and their events processes, without a legacy file."""

    def __init__(self, environ: dict[str, str], folder: Path) -> None:
        self.environ = environ
        self.user = ServiceProcess("user_app", environ, int(environ["USER_PORT"]), folder)
        self.auth = ServiceProcess("auth_app", environ, int(environ["AUTH_PORT"]), folder)
        self.user_events = ServiceProcess("user_app.events", environ, 0, folder)
        self.auth_events = ServiceProcess("auth_app.events", environ, 0, folder)

    def start(self) -> None:
        """Start whatever does not run, the services first."""
        for service in (self.user, self.auth):
            if service.pid is None:
                service.start()
        for process in (self.user_events, self.auth_events):
            if process.pid is None:
                process.start("")

    def kill(self) -> None:
        """SIGKILL to all of them."""
        for process in (self.user_events, self.auth_events, self.user, self.auth):
            process.kill()

    def flask(self, *arguments: str) -> dict[str, Any]:
        """What `flask events ... --json` prints."""
        command = [str(Path(sys.executable).parent / "flask"), "events", *arguments, "--json"]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environ, capture_output=True, text=True, check=False
        )
        assert done.stdout, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


@pytest.fixture
def user_db(user_database_url: str) -> Iterator[Engine]:
    """The user service's database."""
    engine = engine_for(user_database_url, name="tests")
    yield engine
    engine.dispose()


@pytest.fixture
def auth_db(auth_database_url: str) -> Iterator[Engine]:
    """The auth service's database."""
    engine = engine_for(auth_database_url, name="tests")
    yield engine
    engine.dispose()


@pytest.fixture
def services(
    user_database_url: str, auth_database_url: str, redis_url: str, tmp_path: Path
) -> Iterator[Services]:
    """All four processes at work."""
    ports = {"user_port": free_port(), "auth_port": free_port()}
    environ = service_environment(
        {
            "user_database_url": user_database_url,
            "auth_database_url": auth_database_url,
            "migration_database_url": user_database_url,
            "redis_url": redis_url,
            "user_service_urls": f"http://127.0.0.1:{ports['user_port']}",
            "auth_service_urls": f"http://127.0.0.1:{ports['auth_port']}",
            "event_poll_seconds": 0.2,
        },
        **ports,
    )
    services = Services(environ, tmp_path)
    try:
        services.start()
        yield services
    finally:
        services.kill()


def _register(user_db: Engine) -> None:
    for user in range(1, USERS + 1):
        with user_db.begin() as connection:
            data = {"user_id": user, "email": f"old{user}@example.com", "name": None}
            store.append(connection, catalog.USER_REGISTERED, user, data)
        with user_db.begin() as connection:
            changes = {"email": {"old": f"old{user}@example.com", "new": f"new{user}@example.com"}}
            data = {"user_id": user, "changes": changes}
            store.append(connection, catalog.USER_PROFILE_UPDATED, user, data)


def _log_in(auth_db: Engine) -> None:
    for user in range(1, USERS + 1):
        with auth_db.begin() as connection:
            data = {"user_id": user, "ip": "127.0.0.1", "user_agent": "tests", "session_id": f"s{user}"}
            store.append(connection, catalog.AUTH_LOGIN_SUCCESS, user, data)
            store.append(connection, catalog.AUTH_LOGOUT, user, {"user_id": user, "scope": "this"})


def test_activity_and_emails_are_right_after_kills_of_every_process_and_after_a_replay(
    services: Services, user_db: Engine, auth_db: Engine
) -> None:
    _register(user_db)
    for victim in (services.user_events, services.auth, services.auth_events, services.user):
        _log_in(auth_db)
        victim.kill()
        _log_in(auth_db)
        services.start()
    expected = 2 * USERS + 4 * 2 * 2 * USERS
    wait_until(lambda: scalar(user_db, "SELECT count(*) FROM user_activity") == expected, 60, "all activity")
    emails = [(user, f"new{user}@example.com") for user in range(1, USERS + 1)]
    wait_until(lambda: rows(auth_db, "SELECT user_id, email FROM account_emails ORDER BY 1") == emails, 30)
    wait_until(lambda: services.flask("status")["ok"], 30, "a status without an error")

    live = rows(user_db, ACTIVITY)
    with user_db.begin() as connection:
        connection.exec_driver_sql("UPDATE user_activity SET type = 'damaged' WHERE user_id < 5")
    for consumer in ("user.activity-of-auth", "user.activity-of-user"):
        with user_db.begin() as connection:
            connection.exec_driver_sql("DELETE FROM user_activity WHERE type = 'damaged'")
        answer = services.flask("replay", "--consumer", consumer, "--from", "1", "--wait", "30")
        assert answer["data"].get("done"), answer
    assert rows(user_db, ACTIVITY) == live
