"""Writing accounts into the legacy file, in the caller's transaction, past capture and fence."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from migration.reverse_log import LegacyRow

_AT_ONCE = 500  # rows in memory and parameters in a statement
_PRESENT = "SELECT id, email, password, name, created_at FROM users WHERE id IN "
_WRITE = """
INSERT INTO users (id, email, password, name, created_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET email = excluded.email, password = excluded.password, name = excluded.name,
    created_at = excluded.created_at
"""
_MOVED_ASIDE = """
CREATE TABLE IF NOT EXISTS migration_displaced (
    moved_at TEXT DEFAULT CURRENT_TIMESTAMP, id, email, password, name, created_at
)
"""
_MOVE_ASIDE = """
INSERT INTO migration_displaced (id, email, password, name, created_at)
SELECT id, email, password, name, created_at FROM users WHERE id = ?
"""


@contextmanager
def applying(connection: sqlite3.Connection) -> Iterator[None]:
    """While the toolkit writes, its writes are neither captured nor fenced. Other connections never see the mark."""
    connection.execute("UPDATE migration_state SET applying = 1")
    yield
    connection.execute("UPDATE migration_state SET applying = 0")


def write_accounts(connection: sqlite3.Connection, accounts: Iterable[tuple[int, LegacyRow | None]]) -> int:
    """Make the file hold these rows, None meaning no row; returns how many keys there were.

    Emails may have been swapped among them, and SQLite checks uniqueness row by row. So a row whose email changes
    lets go of the old one before any row takes a new one.
    """
    source = iter(accounts)
    differing: list[LegacyRow] = []
    count = 0
    with applying(connection):
        while some := list(islice(source, _AT_ONCE)):
            count += len(some)
            differing += _let_go(connection, some)
        for row in differing:
            _make_room(connection, row)
            connection.execute(_WRITE, row)
    return count


def _let_go(
    connection: sqlite3.Connection, accounts: Sequence[tuple[int, LegacyRow | None]]
) -> list[LegacyRow]:
    """Delete what is gone, free the emails that change; returns the rows that differ from the file's."""
    keys = [key for key, _ in accounts]
    found = connection.execute(f"{_PRESENT}({', '.join('?' * len(keys))})", keys)
    present = {row[0]: tuple(row) for row in found}
    differing = []
    for key, row in accounts:
        if row is None:
            connection.execute("DELETE FROM users WHERE id = ?", (key,))
        elif key not in present:
            differing.append(row)
        elif present[key] != _stored(row):
            differing.append(row)
            if present[key][1] != row[1].encode():
                connection.execute(
                    "UPDATE users SET email = ? WHERE id = ?", (f"migration: changing {key}", key)
                )
    return differing


def _make_room(connection: sqlite3.Connection, row: LegacyRow) -> None:
    """Move a row aside that holds the email of `row` and that PostgreSQL does not know: one that was left behind.

    Only rows that PostgreSQL could not hold, and that the operator accepted to leave behind, can be in the way: their
    emails looked free to clients. They are kept, column by column, in a table of their own.
    """
    holder = connection.execute(
        "SELECT id FROM users WHERE email = ? AND id <> ?", (row[1], row[0])
    ).fetchone()
    if holder is not None:
        connection.execute(_MOVED_ASIDE)
        connection.execute(_MOVE_ASIDE, holder)
        connection.execute("DELETE FROM users WHERE id = ?", holder)


def displaced(connection: sqlite3.Connection) -> int:
    """How many left-behind rows were moved aside."""
    there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'migration_displaced'").fetchone()
    if there is None:
        return 0
    count: int = connection.execute("SELECT count(*) FROM migration_displaced").fetchone()[0]
    return count


def _stored(row: LegacyRow) -> tuple[object, ...]:
    """The row as the toolkit's connections read it: text as bytes."""
    return tuple(value.encode() if isinstance(value, str) else value for value in row)
