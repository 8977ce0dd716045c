"""`python -m user_app` as a process: it starts with right settings only, and ends without losing a request."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import requests
from flask import Flask

from devstack.ports import free_port
from devstack.schema import PROJECT
from service_kit import draining
from tests.integration.user_app.support import HttpServer, identity_headers
from tests.support.environment import GATEWAY_API_KEY, service_environment
from tests.support.service import ServiceProcess
from tests.support.signals import takers
from tests.support.waiting import wait_until

Start = Callable[..., ServiceProcess]
HEADERS = {"X-API-Key": GATEWAY_API_KEY}


def run(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "user_app"]
    return subprocess.run(
        command, env=environ, cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False
    )


def test_wrong_settings_stop_the_start_and_are_all_named() -> None:
    environ = service_environment(
        user_database_url="mysql://x", user_port="70000", redis_url="redis://127.0.0.1:1/0"
    )
    done = run(environ)
    assert done.returncode == 1
    assert "USER_DATABASE_URL" in done.stderr and "USER_PORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_stops_the_start_and_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        urls = {"user_database_url": "postgresql://u@127.0.0.1:1/d", "redis_url": "redis://127.0.0.1:1/0"}
        done = run(service_environment(urls, user_port=port))
    assert done.returncode == 1
    assert str(port) in done.stderr and "Traceback" not in done.stderr


@pytest.fixture
def process(user_database_url: str, redis_url: str, tmp_path: Path) -> Start:
    """Makes the service's process, not started."""

    def make(**more: object) -> ServiceProcess:
        port = free_port()
        environ = service_environment(
            user_database_url=user_database_url, redis_url=redis_url, user_port=port
        )
        return ServiceProcess(
            "user_app", environ | {name.upper(): str(value) for name, value in more.items()}, port, tmp_path
        )

    return make


def test_a_request_in_flight_outlives_the_signal_to_stop(process: Start) -> None:
    slow = Flask("slow_auth")
    entered, leave = threading.Event(), threading.Event()

    @slow.post("/internal/password-hashes")
    def hash_slowly() -> tuple[dict[str, str], int]:
        entered.set()
        leave.wait(20)
        return {"success": "false"}, 503

    with HttpServer(slow) as auth, process(auth_service_urls=auth.url) as service:
        statuses: list[int] = []
        body = {"email": "ann@example.com", "password": "secret12"}
        request = threading.Thread(
            target=lambda: statuses.append(
                requests.post(
                    f"{service.url}/api/register", json=body, headers=HEADERS, timeout=30
                ).status_code
            )
        )
        request.start()
        assert entered.wait(20)
        stopping = threading.Thread(target=service.stop)
        stopping.start()
        wait_until(lambda: service.status("/healthz", 0.5) == 0, what="the end of listening")
        leave.set()
        request.join()
        stopping.join()
        assert statuses == [503]


@pytest.mark.parametrize("number", [signal.SIGTERM, draining.SIGNAL])
def test_no_thread_can_take_a_signal_away_from_the_one_that_waits_for_it(
    process: Start, number: signal.Signals
) -> None:
    with process(auth_service_urls="http://127.0.0.1:9") as service:
        assert service.pid is not None
        for each in (service.pid, *(child.pid for child in psutil.Process(service.pid).children())):
            assert len(takers(each, number)) == 1
            assert takers(each, number) != [each], "a main thread that waits for a lock"


def test_every_request_leaves_one_line_that_holds_no_secret(process: Start) -> None:
    with process(auth_service_urls="http://127.0.0.1:9") as service:
        requests.get(
            f"{service.url}/api/profile?token=secret-in-query",
            headers=HEADERS
            | identity_headers(7)
            | {"X-Correlation-ID": "id-of-this-test", "Authorization": "Bearer abc"},
            timeout=10,
        )
        lines = [
            line for line in service.log.splitlines() if '"id-of-this-test"' in line and '"access"' in line
        ]
        assert len(lines) == 1
        assert '"status": 404' in lines[0] and '"path": "/api/profile"' in lines[0]
        assert not any(secret in service.log for secret in (GATEWAY_API_KEY, "secret-in-query", "Bearer"))


def test_a_killed_process_leaves_no_worker_on_its_port(process: Start) -> None:
    with process(auth_service_urls="http://127.0.0.1:9") as service:
        assert service.pid is not None
        subprocess.run(["kill", "-9", str(service.pid)], check=True)
        wait_until(lambda: service.status("/healthz", 0.5) == 0, what="the end of the worker")
