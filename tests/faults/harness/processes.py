"""Real processes, forked from a server that has everything imported: milliseconds each instead of a second.

A process runs one job (a function of `jobs`) under its own role, which is the name that it announces points under and
that its fates are decided for.
"""

import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from service_kit.steps import CONTROL_VARIABLE, ROLE_VARIABLE
from tests.faults.harness.control import Controller, Fate
from tests.faults.harness.journal import Journal

_CONTEXT = multiprocessing.get_context("forkserver")
PRELOADED = [
    "tests.faults.harness.seed",
    "tests.faults.harness.jobs",
    "psycopg2.extras",
    "sqlalchemy.dialects.postgresql.psycopg2",
    "celery.app.amqp",
    "celery.app.control",
    "celery.worker.state",
    "celery.events.state",
    "kombu.transport.redis",
]


def start_fork_server() -> None:
    """Once, before the first job. The variable makes service_kit.steps announce in every process forked from it."""
    os.environ[CONTROL_VARIABLE] = "/nonexistent"
    _CONTEXT.set_forkserver_preload(PRELOADED)
    first = _CONTEXT.Process(target=int)
    first.start()
    first.join()
    del os.environ[CONTROL_VARIABLE]


class Crew:
    """The processes of one seed."""

    def __init__(self, home: Path, controller: Controller, journal: Journal, environ: dict[str, str]) -> None:
        self._home = home
        self._controller = controller
        self._journal = journal
        self._environ = environ
        self._numbers: dict[str, int] = {}
        self._running: dict[str, BaseProcess] = {}
        self._handles: dict[str, int | None] = {}
        self._handles_changed = threading.Condition()
        controller.send_signal = self.send

    def start(
        self, job: str, fates: list[Fate] | None = None, called: str | None = None, **arguments: Any
    ) -> str:
        """Start a process; returns its role, `job#number` (`called#number`)."""
        called = called or job
        number = self._numbers[called] = self._numbers.get(called, 0) + 1
        role = f"{called}#{number}"
        self._controller.expect(role, fates or [])
        environ = {**self._environ, CONTROL_VARIABLE: str(self._controller.path), ROLE_VARIABLE: role}
        target = (job, str(self._journal.path), role, environ, arguments, str(self._home / "output"))
        process = _CONTEXT.Process(target=_run, args=target, name=role)
        self._journal.note(
            "started", role=role, fates=[vars(fate) for fate in fates or []], arguments=arguments
        )
        process.start()
        self._running[role] = process
        self._handle(role, os.pidfd_open(process.pid or 0))
        return role

    def send(self, role: str, number: int) -> None:
        """Send a signal. By a handle: the number of a process that has ended may be somebody else's by now."""
        with self._handles_changed:
            self._handles_changed.wait_for(lambda: role in self._handles, 5.0)  # it is just being started
            handle = self._handles.get(role)
            if handle is not None:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)

    def _handle(self, role: str, handle: int | None) -> None:
        with self._handles_changed:
            former = self._handles.get(role)
            self._handles[role] = handle
            self._handles_changed.notify_all()
        if former is not None:
            os.close(former)

    def running(self, role: str) -> bool:
        """Whether it has not ended; notes the end when it has."""
        process = self._running.get(role)
        if process is None:
            return False
        if process.is_alive():
            return True
        self._journal.note("ended", role=role, code=process.exitcode)
        del self._running[role]
        self._handle(role, None)
        process.close()
        return False

    def wait(self, role: str, seconds: float = 60.0) -> int:
        """Wait for the end; returns the exit code, negative when a signal ended it."""
        process = self._running[role]
        process.join(seconds)
        if process.is_alive():
            self.kill(role)
            raise TimeoutError(f"{role} did not end within {seconds} s")
        code = process.exitcode
        self.running(role)
        return -1 if code is None else code

    def kill(self, role: str) -> None:
        """SIGKILL, and wait."""
        process = self._running.get(role)
        if process is not None:
            self.send(role, signal.SIGKILL)
            process.join()
            self.running(role)

    def stop(self, role: str) -> None:
        """SIGTERM."""
        self.send(role, signal.SIGTERM)

    def everybody(self) -> list[str]:
        """Roles of all that run."""
        return [role for role in list(self._running) if self.running(role)]

    def end(self, seconds: float = 10.0) -> None:
        """Wait for all, then kill."""
        deadline = time.monotonic() + seconds
        while self.everybody() and time.monotonic() < deadline:
            time.sleep(0.01)
        for role in self.everybody():
            self.kill(role)


def _run(
    job: str, journal: str, role: str, environ: dict[str, str], arguments: dict[str, Any], output: str
) -> None:
    """In the forked process."""
    from tests.faults.harness import jobs

    os.environ.clear()
    os.environ.update(environ)
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    jobs.run(job, Journal(Path(journal), role), role, environ, arguments)
