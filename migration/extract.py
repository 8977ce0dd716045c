"""A key range of a snapshot as COPY text for both tables, odd rows converted one by one, rejects beside it."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass

from migration.columns import PLAIN_ROW, are_plain, read
from migration.copy_text import credential_line, plain_text, user_line
from migration.file_schema import TABLE
from migration.values import RawRow, Reject, convert
from service_kit.truth.legacy_file import transaction

ROWS_AT_ONCE = 5_000
"""Small enough that the text of usual rows stays below PLAIN_TEXT_BYTES."""
LARGEST_TEXT_BYTES = 16 << 20
"""What SQLite may build in memory; a range with more is read in halves."""
_NEXT_KEY = f"SELECT id FROM {TABLE} WHERE id >= ? AND id <= ? ORDER BY id LIMIT 1 OFFSET ?"  # noqa: S608
_ROWS = f"SELECT id, email, password, name, created_at FROM {TABLE} WHERE id >= ? AND id <= ?"  # noqa: S608
_COUNT = f"SELECT count(*) FROM {TABLE} WHERE id >= ? AND id <= ?"  # noqa: S608


@dataclass(frozen=True)
class Part:
    """The rows from `first` to `last` (keys, inclusive): `rows` read, of which `rejects` stay behind."""

    first: int
    last: int
    rows: int
    users: bytes
    credentials: bytes
    rejects: tuple[Reject, ...]


def parts(
    connection: sqlite3.Connection, first: int, last: int, at_once: int = ROWS_AT_ONCE
) -> Iterator[Part]:
    """The range from `first` to `last`, in portions that follow each other without a gap. Order within one is free."""
    for start, end in portions(connection, first, last, at_once):
        yield from _range(connection, start, end)


def portions(
    connection: sqlite3.Connection, first: int, last: int, rows: int = ROWS_AT_ONCE
) -> Iterator[tuple[int, int]]:
    """The range cut into ranges of at most `rows` rows each."""
    while first <= last:
        border = border_key(connection, first, last, rows)
        upto = last if border is None else border - 1
        yield first, upto
        first = upto + 1


def border_key(connection: sqlite3.Connection, first: int, last: int, rows: int) -> int | None:
    """The key of the first row behind the next `rows` rows of the range; None when there is none."""
    row = connection.execute(_NEXT_KEY, (first, last, rows)).fetchone()
    return None if row is None else int(row[0])


def count(connection: sqlite3.Connection, first: int, last: int) -> int:
    """The number of rows in the range."""
    return int(connection.execute(_COUNT, (first, last)).fetchone()[0])


@contextmanager
def limited(connection: sqlite3.Connection) -> Iterator[None]:
    """SQLite refuses (sqlite3.DataError) to build or read a value above LARGEST_TEXT_BYTES inside of the block."""
    limit = connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_TEXT_BYTES)
    try:
        yield
    finally:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limit)


@contextmanager
def _one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """Whatever is read inside of the block is from one moment of the file."""
    with nullcontext() if connection.in_transaction else transaction(connection, "BEGIN"):
        yield


def _range(connection: sqlite3.Connection, first: int, last: int) -> Iterator[Part]:
    """One part, or its halves when it is too much text for one."""
    part = None
    with (
        limited(connection),
        suppress(sqlite3.DataError),
        _one_moment(connection),
    ):  # "string or blob too big"
        part = (
            _all_plain(connection, first, last)
            or _mostly_plain(connection, first, last)
            or _converted(connection, first, last)
        )
    if part is not None:
        yield part
        return
    rows = count(connection, first, last)
    border = border_key(connection, first, last, rows // 2) if rows > 1 else None
    if border is None:
        yield _converted(connection, first, last)
        return
    yield from _range(connection, first, border - 1)
    yield from _range(connection, border, last)


def _all_plain(connection: sqlite3.Connection, first: int, last: int) -> Part | None:
    columns = read(connection, first, last)
    if columns is None or not are_plain(columns):
        return None
    return Part(first, last, columns.rows, *plain_text(columns), ())


def _mostly_plain(connection: sqlite3.Connection, first: int, last: int) -> Part | None:
    """Plain rows as columns, the others converted; None when the text of the plain ones is not."""
    columns = read(connection, first, last, f"({PLAIN_ROW})")
    if columns is None or not are_plain(columns):
        return None
    odd = connection.execute(f"{_ROWS} AND NOT ({PLAIN_ROW}) ORDER BY id", (first, last))
    return _with_converted(Part(first, last, columns.rows, *plain_text(columns), ()), odd)


def _converted(connection: sqlite3.Connection, first: int, last: int) -> Part:
    rows = connection.execute(f"{_ROWS} ORDER BY id", (first, last))
    return _with_converted(Part(first, last, 0, b"", b"", ()), rows)


def _with_converted(part: Part, rows: Iterable[RawRow]) -> Part:
    count, users, credentials, rejects = part.rows, [part.users], [part.credentials], []
    for row in rows:
        count += 1
        result = convert(row)
        if isinstance(result, Reject):
            rejects.append(result)
        else:
            users.append(user_line(result.user))
            credentials.append(credential_line(result.credential))
    return Part(part.first, part.last, count, b"".join(users), b"".join(credentials), tuple(rejects))
