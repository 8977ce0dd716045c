"""Servers that a test may kill, stop or pause: each test has its own."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.ports import free_port
from devstack.redis import Redis
from devstack.schema import PROJECT
from tests.support.environment import service_environment
from tests.support.waiting import wait_until


class UpstreamProcess:
    """`tests.support.upstream` as a process that can be killed and paused."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "UpstreamProcess":
        command = [sys.executable, "-m", "tests.support.upstream", str(self.port)]
        self._process = subprocess.Popen(command, cwd=PROJECT, env=service_environment())
        wait_until(self._listens, 30, "the stand-in")
        return self

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _listens(self) -> bool:
        import socket

        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


@pytest.fixture
def instances() -> Iterator[list[UpstreamProcess]]:
    """Two instances of a service."""
    found = [UpstreamProcess().start(), UpstreamProcess().start()]
    yield found
    for instance in found:
        instance.stop()


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory, servers_home: Path) -> Iterator[Redis]:
    """A Redis of this test's own."""
    home = servers_home / tmp_path_factory.mktemp("redis").name
    redis = Redis(home, mark=f"stack-tests-{os.getpid()}/{home.name}")
    redis.start()
    yield redis
    redis.destroy()
