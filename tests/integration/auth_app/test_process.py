"""The auth service as a process: it stays reachable while passwords queue, and ends without failing a request."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from devstack.ports import free_port
from tests.integration.auth_app.support import PASSWORD, LegacyUsers
from tests.support.environment import GATEWAY_API_KEY, service_environment
from tests.support.service import ServiceProcess
from tests.support.waiting import wait_until

Start = Callable[..., ServiceProcess]


@pytest.fixture
def start(
    auth_database_url: str, redis_url: str, legacy_users: LegacyUsers, tmp_path: Path
) -> Iterator[Start]:
    """Starts the service on a legacy file with one user, whose hash has the cost of real ones."""
    legacy_users.add("ann@example.com", bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode())
    started: list[ServiceProcess] = []

    def make(**more: object) -> ServiceProcess:
        port = free_port()
        values: dict[str, object] = {
            "auth_database_url": auth_database_url,
            "redis_url": redis_url,
            "legacy_sqlite_path": legacy_users.path,
            "auth_port": port,
            "bcrypt_cost": 10,
        }
        started.append(ServiceProcess("auth_app", service_environment(values | more), port, tmp_path))
        return started[-1].start()

    yield make
    for service in started:
        service.stop(grace=5)


def log_in(service: ServiceProcess) -> int:
    """Status of a login; 0 when the connection broke."""
    request = urllib.request.Request(
        f"{service.url}/api/login",
        data=json.dumps({"email": "ann@example.com", "password": PASSWORD}).encode(),
        headers={"Content-Type": "application/json", "X-API-Key": GATEWAY_API_KEY},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def health_seconds(service: ServiceProcess) -> float:
    begun = time.monotonic()
    assert service.status("/healthz", timeout=20) == 200
    return time.monotonic() - begun


def test_fifty_logins_at_once_are_all_answered_and_hold_nobody_else_up(start: Start) -> None:
    service = start()
    with ThreadPoolExecutor(50) as threads:
        logins = [threads.submit(log_in, service) for _ in range(50)]
        slowest = max(health_seconds(service) for _ in range(5))
        still_waiting = sum(not login.done() for login in logins)
    assert [login.result() for login in logins] == [200] * 50
    assert still_waiting, "all logins were done before health was asked, so this proves nothing"
    assert slowest < 5


def test_past_the_bound_logins_are_refused_while_those_that_wait_are_served(start: Start) -> None:
    service = start(bcrypt_workers=1, bcrypt_queue=4)
    with ThreadPoolExecutor(30) as threads:
        statuses = list(threads.map(lambda _: log_in(service), range(30)))
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 5
    wait_until(lambda: log_in(service) == 200, 10, "a login after the crowd")


def test_requests_in_flight_are_answered_before_the_process_ends(start: Start) -> None:
    service = start(bcrypt_workers=1)
    with ThreadPoolExecutor(8) as threads:
        logins = [threads.submit(log_in, service) for _ in range(8)]
        wait_until(lambda: any(login.done() for login in logins), 30, "the first login")
        service.stop(grace=30)
        statuses = [login.result() for login in logins]
    assert statuses.count(200) + statuses.count(0) == 8
    assert statuses == [200] * 8
    assert service.pid is None


def test_ready_says_where_credentials_are_and_what_is_missing(start: Start) -> None:
    service = start()

    def dependencies() -> dict[str, Any]:
        with urllib.request.urlopen(f"{service.url}/readyz", timeout=5) as answer:
            body = json.load(answer)
        found: dict[str, Any] = body["dependencies"]
        return found

    assert dependencies()["credentials"]["store"] == "legacy file"
    wait_until(lambda: dependencies()["redis"].get("revocations") == "whole", 5, "the revocations in Redis")


def test_no_password_and_no_token_is_logged(start: Start) -> None:
    service = start()
    assert log_in(service) == 200
    service.stop()
    lines = [json.loads(line) for line in service.log.splitlines()]
    assert any(line.get("path") == "/api/login" and line["status"] == 200 for line in lines)
    assert PASSWORD not in service.log
    assert "eyJ" not in service.log
    assert "$2b$" not in service.log


def test_wrong_settings_stop_the_start_with_all_of_them(tmp_path: Path) -> None:
    environ = service_environment(jwt_secret="too-few-bytes", auth_port="x")
    service = ServiceProcess("auth_app", environ, 1, tmp_path)
    service.start(path="")
    wait_until(lambda: service.pid is None and "settings are wrong" in service.log, 20, "the refusal")
    for name in ("JWT_SECRET", "AUTH_PORT", "AUTH_DATABASE_URL", "REDIS_URL"):
        assert name in service.log
    assert "too-few-bytes" not in service.log
