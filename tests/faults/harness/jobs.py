"""What the processes of a run do: each job is the body of a command, a task or a service, called as they call it."""

import json
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

from click.testing import CliRunner
from sqlalchemy.exc import DBAPIError

from migration import copy, follow_pass, passes, verify_chunk
from migration import plan as plans
from migration.answer import Refused
from migration.batch import Blocked
from migration.catch_up import Reached
from migration.cli import copy as copy_command
from migration.cli import cutover, dual_write, finish, rollback, verify
from migration.drain import drain
from migration.follow_up import follow_all
from migration.reverse import apply_reverse, waiting_entries
from migration.session import Session, open_session
from migration.task_queue import TaskQueue
from migration.throttle import Throttle
from service_kit.errors import Unavailable
from service_kit.settings import Settings, load
from tests.faults.harness import clients, event_jobs, monolith
from tests.faults.harness.journal import Journal
from tests.faults.harness.sabotage import SABOTAGES, VARIABLE
from tests.faults.harness.services import open_services

REFUSED, FAILED = 3, 4
OUTAGES = (DBAPIError, sqlite3.OperationalError, Unavailable, Blocked, OSError)
IDLE_SECONDS = 0.06

COMMANDS = {
    "dual-write": dual_write, "copy": copy_command, "verify": verify, "cutover": cutover, "rollback": rollback,
    "finish": finish,
}  # fmt: skip
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
    _small_chunks()
    if environ.get(VARIABLE):
        SABOTAGES[environ[VARIABLE]].carry_out()
    code = 0
    try:
        result = JOBS[name](Work(journal, role, environ), **arguments)
        journal.note("result", role=role, result=result)
    except Stopped:
        pass
    except Refused as refused:
        journal.note("result", role=role, refused=[issue.code for issue in refused.issues])
        code = REFUSED
    except Exception as error:  # noqa: BLE001 (whatever it is, it goes into the history)
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
    """Both services in one process, and somebody who sends them requests."""
    services = open_services(work.settings("user"), work.environ)
    clients.request_for(services, work.journal, work.role, random.Random(seed), seconds, pause)


@job
def events_of_user(work: Work, seconds: float) -> None:
    """python -m user_app.events."""
    event_jobs.work(work.settings("user"), "user", work.environ)


@job
def events_of_auth(work: Work, seconds: float) -> None:
    """python -m auth_app.events."""
    event_jobs.work(work.settings("auth"), "auth", work.environ)


@job
def sweeper(work: Work, seconds: float) -> None:
    """The user service's sweep of registrations that came to no end."""
    services = open_services(work.settings("user"), work.environ)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            services.settling.sweep(older_than=0.3)
        except OUTAGES as error:
            work.journal.note("outage", role=work.role, error=f"{type(error).__name__}: {error}"[:120])
        time.sleep(IDLE_SECONDS)


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
def command(work: Work, name: str, options: list[str]) -> dict[str, Any]:
    """`flask migration NAME OPTIONS --json`; returns its answer."""
    module = COMMANDS[name]
    outcome = CliRunner().invoke(module.command, [*options, "--json"])
    lines = outcome.stdout.strip().splitlines()
    if isinstance(outcome.exception, Stopped):
        raise outcome.exception
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    answer = json.loads(lines[-1])
    return {"ok": answer["ok"], "phase": answer["phase"], "issues": answer["issues"], **answer["data"]}


@job
def chunk_worker(work: Work, seed: int, seconds: float) -> None:
    """What a Celery worker does with the messages of a running pass; some messages come twice."""
    rng = random.Random(seed)

    def step(session: Session) -> None:
        plan = plans.running(session.migration)
        if plan is None:
            return
        throttle = Throttle(session, None)
        passes.advance(session, NoQueue(), throttle, plan.id)
        number = _some_chunk(session, plan.id, rng)
        if number is not None:
            run = copy.run if plan.kind == plans.COPY else verify_chunk.run
            said = passes.run_chunk(session, throttle, plan.id, number, lambda held: run(session, held))
            work.journal.note("chunk", role=work.role, plan=plan.id, chunk=number, said=said)

    _repeat(work, step, seconds)


class NoQueue(TaskQueue):
    """Messages are taken from migration_db, where all that they say is written."""

    def __init__(self) -> None:
        pass

    def send(self, task: str, **arguments: Any) -> bool:
        return True


def _some_chunk(session: Session, plan_id: str, rng: random.Random) -> int | None:
    with session.migration.connect() as connection:
        chunks = connection.exec_driver_sql(
            "SELECT chunk, state FROM chunks WHERE plan_id = %s", (plan_id,)
        ).all()
    waiting = [number for number, state in chunks if state != "done" or rng.random() < 0.1]
    return rng.choice(waiting) if waiting else None


def _small_chunks() -> None:
    """Files of some tens of rows are to have several chunks, and seeds are to take seconds."""
    passes.FEWEST_ROWS = 5
    passes.FIRST_ROWS = dict.fromkeys(passes.FIRST_ROWS, 7)
    passes.MOST_ROWS = dict.fromkeys(passes.MOST_ROWS, 9)
    passes.RESEND_SECONDS, passes.RETRY_SECONDS = 0.5, 0.05
    follow_pass.POLL_SECONDS = 0.03


@job
def bring_level(work: Work) -> None:
    """Registrations come to their end, and the side that follows is brought up to date, whichever it is."""
    with work.session() as session:
        state = session.file.state()
        follow_all(session, state.epoch)
        if not state.file_is_truth:
            open_services(work.settings("user"), work.environ).settling.sweep(older_than=0.0)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if state.file_is_truth:
                if drain(session).reached is Reached.END:
                    return
            elif state.phase == "finished" or not any(waiting_entries(session).values()):
                return
            else:
                apply_reverse(session)
        raise TimeoutError("not level")
