"""Background processes: found again, ended with their children, never mistaken for a stranger."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from devstack import process
from devstack.errors import StackError
from devstack.process import Daemon
from tests.support.waiting import wait_until

WITH_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("child", child.pid, flush=True)
time.sleep(600)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[str], Daemon]]:
    started: list[Daemon] = []

    def start(code: str, name: str = "thing") -> Daemon:
        daemon = Daemon(name, tmp_path / "run", tmp_path / f"{name}.log", f"{tmp_path}/{name}")
        daemon.start([sys.executable, "-c", code], dict(os.environ), tmp_path)
        started.append(daemon)
        return daemon

    yield start
    for daemon in started:
        daemon.stop(grace=0)


def _child(daemon: Daemon) -> psutil.Process:
    line = wait_until(lambda: daemon.tail().splitlines())[0]
    return psutil.Process(int(line.split()[1]))


def test_another_object_finds_the_process_by_its_file(run: Callable[[str], Daemon], tmp_path: Path) -> None:
    daemon = run("import time; time.sleep(600)")
    other = Daemon("thing", tmp_path / "run", daemon.log, daemon.mark)
    assert other.pid == daemon.pid
    other.stop()
    assert not daemon.running


def test_stopping_ends_children_in_sessions_of_their_own(run: Callable[[str], Daemon]) -> None:
    daemon = run(WITH_CHILD)
    child = _child(daemon)
    daemon.stop()
    assert process.wait_gone([child], 5) == []


def test_children_of_a_killed_process_are_ended_by_the_next_stop(run: Callable[[str], Daemon]) -> None:
    daemon = run(WITH_CHILD)
    child = _child(daemon)
    psutil.Process(daemon.pid or 0).kill()
    wait_until(lambda: not daemon.running)
    assert child.is_running()
    daemon.stop()
    assert process.wait_gone([child], 5) == []


def test_who_ignores_the_polite_signal_is_killed(run: Callable[[str], Daemon]) -> None:
    daemon = run(STUBBORN)
    wait_until(daemon.tail)
    daemon.stop(grace=0.2)
    assert not daemon.running


def test_a_paused_process_is_stopped_politely(run: Callable[[str], Daemon]) -> None:
    daemon = run("import time; time.sleep(600)")
    daemon.send(signal.SIGSTOP)
    victim = psutil.Process(daemon.pid)
    wait_until(lambda: victim.status() == psutil.STATUS_STOPPED)
    daemon.stop()
    assert not daemon.running


def test_a_number_that_belongs_to_somebody_else_now_is_left_alone(
    run: Callable[[str], Daemon], tmp_path: Path
) -> None:
    stranger = run("import time; time.sleep(600)", "stranger")
    file = tmp_path / "run" / "thing.json"
    file.write_text(json.dumps({"pid": stranger.pid, "started": 1.0, "note": ""}))
    daemon = Daemon("thing", tmp_path / "run", tmp_path / "thing.log", f"{tmp_path}/thing")
    assert not daemon.running
    daemon.kill()
    daemon.stop()
    assert stranger.running


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"pid": "x", "started": 0}'])
def test_a_damaged_record_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "thing.json").write_text(content)
    assert not Daemon("thing", tmp_path, tmp_path / "thing.log", "mark").running


def test_processes_are_found_by_their_mark_without_any_record(
    run: Callable[[str], Daemon], tmp_path: Path
) -> None:
    daemon = run("import time; time.sleep(600)")
    (tmp_path / "run" / "thing.json").unlink()
    assert [each.pid for each in process.marked(f"{tmp_path}/")] != []
    daemon.stop()
    assert process.marked(f"{tmp_path}/") == []


def test_a_failed_start_shows_the_end_of_the_log(run: Callable[[str], Daemon]) -> None:
    daemon = run("import sys; sys.exit('the reason')")
    with pytest.raises(StackError, match=r"(?s)thing ended while starting.*the reason"):
        daemon.wait_for(lambda: False, 10)


def test_a_long_log_is_put_aside_at_a_start(run: Callable[[str], Daemon], tmp_path: Path) -> None:
    (tmp_path / "thing.log").write_bytes(b"x" * (process.LOG_BYTES + 1))
    daemon = run("print('new')")
    wait_until(lambda: daemon.tail() == "new")
    assert (tmp_path / "thing.old.log").stat().st_size == process.LOG_BYTES + 1
