"""The commands as an operator types them, with real Celery workers that are killed under them."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from devstack.process import Daemon
from devstack.schema import PROJECT
from migration.session import Session, open_session
from service_kit.settings import load
from service_kit.truth.phase import PHASE_LOCK
from tests.integration.migration_copy.support import accounts, make_file, plain_accounts, query
from tests.support.environment import service_environment
from tests.support.waiting import wait_until

USERS = 25_000


@pytest.fixture
def legacy(file_path: Path) -> Iterator[sqlite3.Connection]:
    """Enough users for several chunks of the first size."""
    connection = make_file(file_path, USERS)
    yield connection
    connection.close()


@pytest.fixture
def environ(
    file_path: Path,
    legacy: sqlite3.Connection,
    database_urls: dict[str, str],
    redis_url: str,
) -> dict[str, str]:
    """Settings with a real Redis."""
    return service_environment(
        database_urls,
        legacy_sqlite_path=file_path,
        redis_url=redis_url,
        migration_lease_seconds=2,
    )


@pytest.fixture
def plain_session(environ: dict[str, str]) -> Iterator[Session]:
    """A session before `dual-write`."""
    with open_session(load("worker", environ)) as opened:
        yield opened


class Celery:
    """Workers (and beat) that a test starts and kills."""

    def __init__(self, environ: dict[str, str], folder: Path) -> None:
        self._environ, self._folder = environ, folder
        self._daemons: list[Daemon] = []

    def start(self, *arguments: str) -> Daemon:
        name = f"celery-{len(self._daemons)}"
        daemon = Daemon(name, self._folder, self._folder / f"{name}.log", f"{self._folder}/{name}")
        self._daemons.append(daemon)
        command = [sys.executable, "-m", "celery", "--app", "celery_worker.app", *arguments]
        daemon.start(command, self._environ, PROJECT)
        return daemon

    def worker(self) -> Daemon:
        return self.start("worker", "--concurrency", "2", "--hostname", f"w{len(self._daemons)}@localhost")

    def beat(self) -> Daemon:
        return self.start("beat", "--schedule", str(self._folder / "schedule"))

    def stop(self) -> None:
        for daemon in self._daemons:
            daemon.stop(3.0)


@pytest.fixture
def celery(environ: dict[str, str], tmp_path: Path) -> Iterator[Celery]:
    """No process yet."""
    processes = Celery(environ, tmp_path)
    yield processes
    processes.stop()


def _start(environ: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "flask", "migration", *arguments]
    return subprocess.Popen(
        command,
        env=environ,
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _flask(environ: dict[str, str], *arguments: str, code: int = 0) -> Any:
    process = _start(environ, *arguments, "--json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, (out, err)
    return json.loads(out)


def _chunks_done(session: Session) -> int:
    return int(query(session.migration, "SELECT count(*) FROM chunks WHERE state = 'done'")[0][0])


def test_dual_write_copy_verify_by_real_workers(
    environ: dict[str, str], celery: Celery, plain_session: Session, legacy: sqlite3.Connection
) -> None:
    refused = _flask(environ, "copy", code=1)
    assert refused["issues"][0]["code"] == "not_its_turn"
    assert refused["next_steps"] == ["flask migration dual-write"]
    celery.worker()
    _flask(environ, "dual-write")
    done = _flask(environ, "copy")
    assert (done["command"], done["ok"], done["phase"], done["data"]["rows"]) == (
        "copy",
        True,
        "copied",
        USERS,
    )
    assert accounts(plain_session) == plain_accounts(legacy)
    assert _flask(environ, "copy")["data"]["note"] == "copied already"
    query(plain_session.user, "UPDATE users SET name = 'damaged' WHERE id = 4321")
    found = _flask(environ, "verify", code=1)
    assert found["issues"][0]["code"] == "differences"
    assert [(one["key"], one["column"]) for one in found["data"]["listed"]] == [(4321, "name")]
    repaired = _flask(environ, "verify", "--repair")
    assert (repaired["phase"], repaired["data"]["repaired"], repaired["data"]["passes"]) == ("verified", 1, 2)
    assert accounts(plain_session) == plain_accounts(legacy)


def test_progress_is_plain_lines_where_there_is_no_terminal(environ: dict[str, str], celery: Celery) -> None:
    celery.worker()
    _flask(environ, "dual-write")
    process = _start(environ, "copy")
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert f"copy: {USERS:,} of {USERS:,} rows (100 %)" in out
    assert "rows/s" in out
    assert "\x1b" not in out


def test_it_goes_on_after_worker_command_and_redis_died(
    environ: dict[str, str],
    celery: Celery,
    plain_session: Session,
    legacy: sqlite3.Connection,
    redis_url: str,
) -> None:
    _flask(environ, "dual-write")
    # nobody works yet: chunks wait in Redis, and are lost with it
    command = _start(environ, "copy")
    wait_until(lambda: query(plain_session.migration, "SELECT count(*) FROM chunks")[0][0] > 0, 60, "chunks")
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
    os.killpg(command.pid, signal.SIGKILL)
    command.communicate()
    # a worker dies with chunks in its hands
    query(plain_session.migration, "UPDATE chunks SET queued_at = now() - interval '1 hour'")
    with plain_session.auth.begin() as held:
        held.exec_driver_sql(f"SELECT pg_advisory_xact_lock({PHASE_LOCK})")  # half a chunk, and no further
        worker = celery.worker()
        command = _start(environ, "copy", "--json")
        wait_until(lambda: _halves_done(plain_session) == 2, 60, "half a chunk of each process")
        worker.kill()
        os.killpg(command.pid, signal.SIGKILL)
        command.communicate()
    assert _chunks_done(plain_session) == 0
    celery.worker()
    assert _flask(environ, "copy")["phase"] == "copied"
    assert accounts(plain_session) == plain_accounts(legacy)
    assert _flask(environ, "verify")["phase"] == "verified"


def _halves_done(session: Session) -> int:
    return int(query(session.user, "SELECT count(*) FROM migration_chunks")[0][0])


def test_workers_and_beat_end_a_copy_that_no_command_watches(
    environ: dict[str, str], celery: Celery, plain_session: Session, legacy: sqlite3.Connection
) -> None:
    _flask(environ, "dual-write")
    command = _start(environ, "copy")
    wait_until(lambda: query(plain_session.migration, "SELECT count(*) FROM chunks")[0][0] > 0, 60, "chunks")
    os.killpg(command.pid, signal.SIGKILL)
    command.communicate()
    celery.worker()
    celery.beat()
    wait_until(lambda: plain_session.file.state().phase == "copied", 90, "the phase copied")
    assert accounts(plain_session) == plain_accounts(legacy)
    legacy.execute("UPDATE users SET name = 'drained by beat' WHERE id = 5")
    wait_until(lambda: accounts(plain_session)[5][2] == "drained by beat", 30, "beat's drain")


def test_pause_really_pauses_and_resume_goes_on(
    environ: dict[str, str], celery: Celery, plain_session: Session
) -> None:
    _flask(environ, "dual-write")
    _flask(environ, "pause")
    celery.worker()
    command = _start(environ, "copy")
    wait_until(lambda: query(plain_session.migration, "SELECT count(*) FROM plans")[0][0] > 0, 60, "the plan")
    with pytest.raises(AssertionError):
        wait_until(lambda: _chunks_done(plain_session) > 0, 2.0, "a chunk in spite of the pause")
    _flask(environ, "resume")
    out, _ = command.communicate(timeout=120)
    assert command.returncode == 0
    assert "WAITING: paused by" in out


def test_rejects_are_listed_retried_and_accepted(
    environ: dict[str, str], celery: Celery, legacy: sqlite3.Connection
) -> None:
    legacy.execute("UPDATE users SET name = x'00' WHERE id IN (3, 4)")
    celery.worker()
    _flask(environ, "dual-write")
    _flask(environ, "copy")
    listed = _flask(environ, "rejects")["data"]
    assert (listed["rejected"], listed["open"]) == (2, 2)
    assert {(row["id"], row["column"], row["reason"], row["hex"]) for row in listed["listed"]} == {
        (3, "name", "not_text", "00"),
        (4, "name", "not_text", "00"),
    }
    legacy.execute("UPDATE users SET name = 'mended' WHERE id = 3")
    assert _flask(environ, "rejects", "retry")["data"]["open"] == 1
    assert _flask(environ, "rejects", "accept", "3", code=1)["issues"][0]["code"] == "not_rejected"
    assert _flask(environ, "rejects", "accept", "--all", "7", code=1)["issues"][0]["code"] == "other_count"
    assert _flask(environ, "rejects", "accept", "4")["data"]["open"] == 0
    assert _flask(environ, "verify")["phase"] == "verified"
