"""The folder of a stack: made, used by one command at a time, emptied."""

import contextlib
import fcntl
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from devstack.place import server_account

FOLDERS = ("legacy", "logs", "postgres", "redis", "run")
FILES = ("kept.json", "ports.json", "stack.env", "lock")


def make(home: Path) -> None:
    """Makes it, closed to others; as root the account of PostgreSQL must pass through, but sees nothing."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o711 if server_account() else 0o700)


@contextlib.contextmanager
def locked(home: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Holds the home's lock; waits for whoever else holds it. The system frees it when its holder dies."""
    with (home / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another command works on this stack; waiting for it ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remove(home: Path) -> None:
    """Removes what a stack writes below its home; the home itself only when nothing else is in it."""
    for name in FOLDERS:
        shutil.rmtree(home / name, ignore_errors=True)
    for name in FILES:
        (home / name).unlink(missing_ok=True)
    for path in home.glob("beat-schedule*"):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        home.rmdir()
