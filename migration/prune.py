"""Forgetting log entries that both databases have applied."""

import sqlite3

from migration.catch_up import read_cursors
from migration.session import Session
from service_kit.truth.legacy_file import LEGACY, read_state

KEEP_SECONDS = 3600.0
_AT_ONCE = 5000  # writers wait for a few milliseconds


def prune(session: Session, keep_seconds: float = KEEP_SECONDS) -> int:
    """Delete a portion of old entries up to the lower of the two cursors; returns how many.

    The cursors are those of committed transactions, so an entry outlives the commit of its effect. Numbers are not
    given again: the table's counter stays when its rows go.
    """
    cursor = min(read_cursors(session.targets).values())
    with session.file.snapshot() as connection:
        if not _deletable(connection, cursor, keep_seconds):
            return 0
    with session.file.exclusive() as connection:
        upto = _deletable(connection, cursor, keep_seconds)
        return connection.execute("DELETE FROM migration_log WHERE seq <= ?", (upto,)).rowcount if upto else 0


def _deletable(connection: sqlite3.Connection, cursor: int, keep_seconds: float) -> int:
    """The end of the oldest portion that may go, 0 for none."""
    state = read_state(connection)
    if not state.file_is_truth or state.phase == LEGACY:
        return 0
    found = connection.execute(
        "SELECT max(seq), max(at) < (julianday('now') - 2440587.5) * 86400.0 - ? FROM"
        " (SELECT seq, at FROM migration_log WHERE seq <= ? ORDER BY seq LIMIT ?)",
        (keep_seconds, cursor, _AT_ONCE),
    ).fetchone()
    return int(found[0]) if found[0] is not None and found[1] else 0
