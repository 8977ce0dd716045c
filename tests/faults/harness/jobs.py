"""What the processes of a run do: each job is the body of a command, a task or a service, called as they call it."""

import os
import random
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from migration.answer import Refused
from migration.batch import Blocked
from migration.capture import install
from migration.drain import ServiceDrain, drain, drain_auth_db, drain_user_db
from migration.reverse import apply_reverse
from migration.session import Session, open_session
from service_kit.db import engine_for
from service_kit.errors import Unavailable
from service_kit.settings import Settings, load
from service_kit.truth.legacy_file import LegacyFile
from service_kit.truth.router import Truth
from tests.faults.harness import clients, monolith
from tests.faults.harness.journal import Journal

REFUSED, FAILED = 3, 4
OUTAGES = (DBAPIError, sqlite3.OperationalError, Unavailable, Blocked, OSError)
IDLE_SECONDS = 0.02

Job = Callable[..., object]
JOBS: dict[str, Job] = {}


class Stopped(Exception):
    """SIGTERM."""


def job(function: Job) -> Job:
    """Register a job under its function's name."""
    JOBS[function.__name__] = function
    return function


def run(name: str, journal: Journal, role: str, environ: dict[str, str], arguments: dict[str, Any]) -> None:
    """In the forked process: run one job and end with its exit code."""
    signal.signal(signal.SIGTERM, _stop)
    code = 0
    try:
        result = JOBS[name](Work(journal, role, environ), **arguments)
        journal.note("result", role=role, result=result)
    except Stopped:
        pass
    except Refused as refused:
        journal.note("result", role=role, refused=[issue.code for issue in refused.issues])
        code = REFUSED
    except Exception as error:
        journal.note("result", role=role, failed=f"{type(error).__name__}: {error}"[:400])
        traceback.print_exc()
        code = FAILED
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _stop(*_: object) -> None:
    raise Stopped


class Work:
    """What a job works with."""

    def __init__(self, journal: Journal, role: str, environ: dict[str, str]) -> None:
        self.journal = journal
        self.role = role
        self.environ = environ

    def settings(self, role: str = "worker") -> Settings:
        return load(role, self.environ)

    def session(self) -> Any:
        return open_session(self.settings())

    @property
    def file(self) -> Path:
        return Path(self.environ["LEGACY_SQLITE_PATH"])


@job
def monolith_writer(work: Work, seed: int, seconds: float, pause: float) -> None:
    """The legacy server, which knows nothing of a migration."""
    monolith.write_for(work.file, work.journal, work.role, random.Random(seed), seconds, pause)


@job
def client(work: Work, seed: int, seconds: float, pause: float) -> None:
    """A process with both services' stores in it."""
    settings = work.settings("user")
    file = LegacyFile(settings.legacy_sqlite_path)
    user = engine_for(work.environ["USER_DATABASE_URL"].replace("postgresql://", "postgresql+psycopg2://"), name="user")
    auth = engine_for(work.environ["AUTH_DATABASE_URL"].replace("postgresql://", "postgresql+psycopg2://"), name="auth")
    drains: list[ServiceDrain] = [drain_user_db(file.path, user), drain_auth_db(file.path, auth)]
    services = clients.Services(
        Truth(file, user, drains[0], undo_after=1.0), Truth(file, auth, drains[1], undo_after=1.0)
    )
    clients.write_for(services, work.journal, work.role, random.Random(seed), seconds, pause)


def _repeat(work: Work, step: Callable[[Session], object], seconds: float) -> None:
    """A periodic task: again and again, outages and refusals noted and outlived."""
    deadline = time.monotonic() + seconds
    with work.session() as session:
        while time.monotonic() < deadline:
            try:
                step(session)
            except OUTAGES as error:
                work.journal.note("outage", role=work.role, error=f"{type(error).__name__}: {error}"[:120])
            time.sleep(IDLE_SECONDS)


@job
def applier(work: Work, seconds: float) -> None:
    """The periodic drain of the file's log."""
    _repeat(work, drain, seconds)


@job
def reverse_applier(work: Work, seconds: float) -> None:
    """The periodic drain of the reverse logs."""
    _repeat(work, apply_reverse, seconds)


@job
def dual_write(work: Work) -> str:
    """flask migration dual-write."""
    with work.session() as session:
        return install(session.file).how
