"""User service and auth service as real processes, whose every step can be caught."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import Engine, create_engine

from devstack import sample
from devstack.ports import free_port
from service_kit.steps import CONTROL_VARIABLE, ROLE_VARIABLE
from tests.faults.registration.traps import Traps
from tests.support.environment import AUTH_API_KEY, GATEWAY_API_KEY, service_environment
from tests.support.service import ServiceProcess
from tests.support.waiting import wait_until

PASSWORD = "secret12"
SETTLED_SECONDS = 30.0
USER, AUTH = "user", "auth"


@dataclass
class Pending:
    """A registration that runs in a thread; `status` is 0 when its connection broke."""

    thread: threading.Thread
    statuses: list[int] = field(default_factory=list)

    @property
    def status(self) -> int:
        """The answer's status, as soon as there is one."""
        self.thread.join(60)
        return self.statuses[0]


@dataclass
class Services:
    """The two services, their databases, and what a test does to them."""

    user: ServiceProcess
    auth: ServiceProcess
    traps: Traps
    user_db: Engine
    auth_db: Engine
    legacy: Path | None

    def post(self, path: str, body: dict[str, Any], key: str = GATEWAY_API_KEY) -> int:
        """Status of a POST to the service that owns the path; 0 when nobody answers to the end."""
        base = self.auth.url if path == "/api/login" else self.user.url
        try:
            answer = requests.post(base + path, json=body, headers={"X-API-Key": key}, timeout=60)
        except requests.RequestException:
            return 0
        return answer.status_code

    def register(self, email: str) -> int:
        """Status of a registration."""
        return self.post("/api/register", {"email": email, "password": PASSWORD, "name": "Ann Lee"})

    def begin(self, email: str) -> Pending:
        """A registration in the background."""
        pending = Pending(threading.Thread(daemon=True))
        pending.thread = threading.Thread(
            target=lambda: pending.statuses.append(self.register(email)), daemon=True
        )
        pending.thread.start()
        return pending

    def fate(self, email: str, whole_in_database: bool | None = None) -> str:
        """`whole` or `absent`, once nothing is pending; AssertionError for anything in between.

        `whole_in_database`: user_db and auth_db must know the same ids; by default when there is no file.
        """
        revive(self.user)
        revive(self.auth)
        wait_until(lambda: not self._pending(), SETTLED_SECONDS, "the settling")
        known = self.post("/internal/users/lookup", {"email": email}, AUTH_API_KEY)
        login = self.post("/api/login", {"email": email, "password": PASSWORD})
        assert (known, login) in ((200, 200), (404, 401)), (known, login)
        if self.legacy is None if whole_in_database is None else whole_in_database:
            assert self._ids("SELECT id FROM users") == self._ids("SELECT user_id FROM user_credentials")
        return "whole" if known == 200 else "absent"

    def _pending(self) -> bool:
        with self.user_db.connect() as connection:
            query = "SELECT EXISTS (SELECT FROM users WHERE status = 'pending')"
            return bool(connection.exec_driver_sql(query).scalar_one())

    def _ids(self, query: str) -> set[int]:
        engine = self.auth_db if "user_credentials" in query else self.user_db
        with engine.connect() as connection:
            return set(connection.exec_driver_sql(query).scalars())


def revive(process: ServiceProcess) -> None:
    """Waits until the process answers: it starts a killed worker again, or ends when that happens too often."""

    def answers() -> bool:
        if process.status("/readyz") == 200:
            return True
        if process.pid is None:
            process.start("")
        return False

    wait_until(answers, SETTLED_SECONDS, process.name)


Make = Callable[..., Services]


@pytest.fixture
def make_services(
    user_database_url: str, auth_database_url: str, redis_url: str, tmp_path: Path
) -> Iterator[Make]:
    """Starts both services, with users in a legacy file or in PostgreSQL; they are ended with the test."""
    made: list[Services] = []

    def make(legacy: bool = False) -> Services:
        path = tmp_path / "legacy.db" if legacy else None
        if path:
            sample.make(path, users=3)
        traps = Traps(tmp_path / "traps")
        ports = {USER: free_port(), AUTH: free_port()}
        environ = service_environment(
            user_database_url=user_database_url,
            auth_database_url=auth_database_url,
            redis_url=redis_url,
            legacy_sqlite_path=path or "",
            user_port=ports[USER],
            auth_port=ports[AUTH],
            user_service_urls=f"http://127.0.0.1:{ports[USER]}",
            auth_service_urls=f"http://127.0.0.1:{ports[AUTH]}",
        )
        environ[CONTROL_VARIABLE] = str(traps.path)

        def process(role: str) -> ServiceProcess:
            return ServiceProcess(f"{role}_app", {**environ, ROLE_VARIABLE: role}, ports[role], tmp_path)

        engines = create_engine(user_database_url), create_engine(auth_database_url)
        services = Services(process(USER), process(AUTH), traps, *engines, path)
        made.append(services)
        services.user.start()
        services.auth.start()
        return services

    yield make
    for services in made:
        services.traps.close()
        services.user.stop(grace=1)
        services.auth.stop(grace=1)
        services.user_db.dispose()
        services.auth_db.dispose()
