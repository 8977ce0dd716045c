"""A start that was cut short, anywhere, can be gone on with and can be undone."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack import process
from devstack.schema import PROJECT
from devstack.stack import Stack

MOMENTS = ("Starting", "PostgreSQL", "auth-1")
"""Beginnings of lines of `up`, behind which it is cut."""


@pytest.fixture
def home(servers_home: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    home = servers_home / f"cut {abs(hash(request.node.name)) % 10**8}"
    yield home
    Stack(home).reset()


def _up(home: Path) -> "subprocess.Popen[str]":
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "devstack", "up", "--free-ports", "--home", str(home)],
        env=clean | {"STACK_ENV_FILE": "", "PYTHONUNBUFFERED": "1"},
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _cut(home: Path, moment: str, number: signal.Signals) -> None:
    with _up(home) as command:
        assert command.stdout is not None
        for line in command.stdout:
            if line.strip().startswith(moment):
                break
        command.send_signal(number)


def _nothing_is_left(home: Path) -> bool:
    stack = Stack(home)
    servers = [*stack.postgres.processes(), *stack.redis.processes()]
    return not servers and not process.marked(f"{stack.id}/")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_start_can_be_undone(home: Path, moment: str) -> None:
    _cut(home, moment, signal.SIGKILL)
    Stack(home).down()
    assert _nothing_is_left(home)


def test_an_interrupted_start_can_be_gone_on_with(home: Path) -> None:
    _cut(home, "PostgreSQL", signal.SIGINT)
    with _up(home) as command:
        output = command.communicate(timeout=120)[0]
    assert command.returncode == 0, output
    assert "All of it is healthy" in output
    Stack(home).down()
    assert _nothing_is_left(home)


def test_when_a_part_cannot_start_its_log_is_shown_and_nothing_stays(home: Path) -> None:
    stack = Stack(home, "free", {"PYTHONPATH": str(_module_that_fails(home.parent))}, durable=False)
    with pytest.raises(Exception, match=r"(?s)ended while starting.*the reason why it fails"):
        stack.up()
    assert list((home / "logs").glob("*.log")) != []
    assert _nothing_is_left(home)


def _module_that_fails(folder: Path) -> Path:
    """A folder for PYTHONPATH in which the package of Flower ends the process."""
    package = folder / "broken" / "flower"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("raise SystemExit('the reason why it fails')\n")
    (package / "command.py").write_text("raise SystemExit('the reason why it fails')\n")
    return folder / "broken"
