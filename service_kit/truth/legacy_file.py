"""The legacy SQLite file: connections to it, its state row, and transactions on it.

The file alone decides which store is the truth. An even epoch means the file, an odd one PostgreSQL; a file without
`migration_state` has never been migrated and is the truth (epoch 0, phase `legacy`).
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

LEGACY, DUAL_WRITE, COPIED, VERIFIED, CUTOVER, FINISHED = PHASES = (
    "legacy",
    "dual_write",
    "copied",
    "verified",
    "cutover",
    "finished",
)


@dataclass(frozen=True)
class FileState:
    """The file's state row: `epoch` (even: the file is the truth), `phase` (of PHASES), `file_id` (None: legacy)."""

    epoch: int
    phase: str
    file_id: str | None

    @property
    def file_is_truth(self) -> bool:
        return self.epoch % 2 == 0


def read_state(connection: sqlite3.Connection) -> FileState:
    """The state row as the connection's present transaction sees it."""
    try:
        row = connection.execute("SELECT epoch, phase, file_id FROM migration_state WHERE id = 1").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        row = None
    if row is None:
        return FileState(0, LEGACY, None)
    return FileState(row[0], _text(row[1]), _text(row[2]))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


class LegacyFile:
    """One connection a thread to the legacy file, never creating it.

    `busy_timeout` (seconds) is how long a statement waits for another process' lock. With `raw_text`, text comes as
    bytes (the toolkit must see invalid UTF-8); without, as str with U+FFFD for what is not UTF-8, which is what the
    legacy server answered.
    """

    def __init__(self, path: str | Path, *, busy_timeout: float = 5.0, raw_text: bool = False) -> None:
        self.path = Path(path)
        self._busy_timeout = busy_timeout
        self._text_factory = bytes if raw_text else _lenient
        self._local = threading.local()

    def connection(self) -> sqlite3.Connection:
        """This thread's connection, in autocommit mode; transactions are begun by name."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self.open()
            self._local.connection = connection
        return connection

    def open(self) -> sqlite3.Connection:
        """A new connection that the caller closes. Every commit is on disk before it returns (synchronous=FULL)."""
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=self._busy_timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.text_factory = self._text_factory
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def close(self) -> None:
        """Close this thread's connection, if there is one."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            del self._local.connection

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A read transaction: every statement in it sees the same state of the file."""
        with transaction(self.connection(), "BEGIN") as connection:
            yield connection

    @contextmanager
    def exclusive(self) -> Iterator[sqlite3.Connection]:
        """A write transaction that holds the file's only write lock from its first moment."""
        with transaction(self.connection(), "BEGIN IMMEDIATE") as connection:
            yield connection

    def state(self) -> FileState:
        """The state row now."""
        with self.snapshot() as connection:
            return read_state(connection)


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str) -> Iterator[sqlite3.Connection]:
    """`begin`, the block, COMMIT; ROLLBACK when the block or the COMMIT raises."""
    connection.execute(begin)
    try:
        yield connection
        if connection.in_transaction:
            connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


def _lenient(data: bytes) -> str:
    return data.decode("utf-8", "replace")
