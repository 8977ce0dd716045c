"""Background processes that outlive the command that started them, known by a file.

A process id alone is not enough: after a crash the number may belong to somebody else. So the start time is
kept beside it, and each of our processes carries a mark in its environment by which its children, and
processes whose file was never written, are found as well.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from devstack.errors import StackError
from devstack.place import Account

MARK = "DEVSTACK_PROCESS"
"""Environment variable of every process of a stack: `<id of the stack>/<name of the process>`."""

POLL_SECONDS = 0.02

LOG_BYTES = 16 << 20
"""A log that is longer at a start is put aside, over the one put aside before."""


class Daemon:
    """One background process with its children; `folder/<name>.json` tells who it is."""

    def __init__(self, name: str, folder: Path, log: Path, mark: str) -> None:
        self.name = name
        self.log = log
        self.mark = mark
        self._file = folder / f"{name}.json"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        process = self._process()
        return process.pid if process else None

    @property
    def running(self) -> bool:
        """Whether the process itself (not merely a child of it) is there."""
        return self._process() is not None

    @property
    def note(self) -> str:
        """What `start` was told to remember."""
        try:
            return str(json.loads(self._file.read_text()).get("note", ""))
        except (FileNotFoundError, ValueError, AttributeError):
            return ""

    @property
    def age_seconds(self) -> float:
        """How long it has been running; 0 when it is not."""
        process = self._process()
        return time.time() - process.create_time() if process else 0.0

    def start(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        folder: Path,
        account: Account | None = None,
        note: str = "",
    ) -> None:
        """Starts it in a session of its own, so that Ctrl-C at the terminal does not reach it."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".old.log"))
        run_as = account.arguments if account else {}
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                command,
                env={**environ, MARK: self.mark},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **run_as,
            )
        started = psutil.Process(process.pid).create_time()
        process.returncode = 0  # from here on the file is what knows the process, not this object
        self._file.write_text(json.dumps({"pid": process.pid, "started": started, "note": note}))

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the process and its group (servers with child processes pause and die as a
        whole).
        """
        process = self._process()
        if process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def kill(self) -> None:
        """SIGKILL to the whole group; returns when the process is gone. The file stays: nobody knew it was
        coming.
        """
        process = self._process()
        self.send(signal.SIGKILL)
        if process:
            wait_gone([process], 10)

    def ask_to_stop(self, number: signal.Signals = signal.SIGTERM) -> psutil.Process | None:
        """Sends the polite signal to the process alone; it looks after its children. Returns whom to wait
        for.
        """
        process = self._process()
        self.send(signal.SIGCONT)  # who is paused would never hear of it
        if process:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        return process

    def stop(self, grace: float = 15.0, number: signal.Signals = signal.SIGTERM) -> None:
        """Stops it with all its children: politely first, after `grace` seconds by SIGKILL."""
        process = self.ask_to_stop(number)
        if process:
            wait_gone([process], grace)
        kill_all(marked(self.mark))
        self._file.unlink(missing_ok=True)

    def wait_for(self, ready: Callable[[], bool], seconds: float) -> None:
        """Waits until `ready()`; StackError with the log when it ends first or takes longer."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise self.failed("ended while starting")
            if time.monotonic() > deadline:
                raise self.failed(f"was not ready within {seconds:.0f} s")
            time.sleep(POLL_SECONDS)

    def tail(self, lines: int = 30) -> str:
        """The end of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 64_000))
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def failed(self, what: str) -> StackError:
        """An error to raise, with the end of the log."""
        return StackError(f"{self.name} {what}. The end of {self.log}:\n{self.tail()}")

    def _process(self) -> psutil.Process | None:
        try:
            record = json.loads(self._file.read_text())
            process = psutil.Process(record["pid"])
            # The clock that the start time is counted from may shift a little.
            same = abs(process.create_time() - record["started"]) < 2
            return process if same and not _is_dead(process) else None
        except (FileNotFoundError, ValueError, KeyError, TypeError, psutil.NoSuchProcess):
            return None


def marked(mark: str) -> list[psutil.Process]:
    """All processes whose mark is `mark`, or begins with it when it ends in a slash."""

    def matches(process: psutil.Process) -> bool:
        value = process.environ().get(MARK, "")
        return value.startswith(mark) if mark.endswith("/") else value == mark

    return find(matches)


def inside(folder: Path) -> list[psutil.Process]:
    """All processes whose working folder is `folder`: finds servers that overwrite their environment."""
    path = str(folder.resolve())
    return find(lambda process: process.cwd() == path)


def find(matches: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """The living processes that match, as far as this user may look; never this one or one that it runs
    under.
    """
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid not in ours and matches(process) and not _is_dead(process):
                found.append(process)
    return found


def wait_gone(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Waits until all are gone; returns those that are still there after `seconds`."""
    deadline = time.monotonic() + seconds
    left = [process for process in processes if not _is_dead(process)]
    while left and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        left = [process for process in left if not _is_dead(process)]
    return left


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL to each; returns when they are gone."""
    victims = list(processes)
    for process in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    wait_gone(victims, 10)


def _is_dead(process: psutil.Process) -> bool:
    """A child of ours that ended stays a zombie until it is waited for; that counts as dead, and is done
    here.
    """
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)
            return True
        return not process.is_running()
    except psutil.NoSuchProcess:
        return True
