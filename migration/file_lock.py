"""Getting the legacy file's write lock among busy writers.

SQLite's own waiting is not fair: it looks again after up to 100 ms, and who writes without a pause is always there
first. A coordinator looks again every millisecond, so it gets its turn between two transactions of the others.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PATIENCE_SECONDS = 10.0
_LOOK_SECONDS = 0.001


@contextmanager
def write_lock(
    connection: sqlite3.Connection, patience_seconds: float = PATIENCE_SECONDS
) -> Iterator[sqlite3.Connection]:
    """A transaction that holds the write lock from its first moment; COMMIT at the block's end, ROLLBACK on an error.

    While the lock is waited for, nobody waits for us. COMMIT waits as long as the connection's busy timeout says.

    Raises:
        sqlite3.OperationalError: the lock did not come within `patience_seconds`.
    """
    _begin(connection, time.monotonic() + patience_seconds)
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


def _begin(connection: sqlite3.Connection, deadline: float) -> None:
    busy_ms = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        while not _begun(connection, last_try=time.monotonic() >= deadline):
            time.sleep(_LOOK_SECONDS)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {busy_ms}")


def _begun(connection: sqlite3.Connection, *, last_try: bool) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if last_try or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True
