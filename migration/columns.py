"""A portion of the legacy table as columns, for rows that PostgreSQL can hold as they are.

SQLite strings the values of each column together, and whole columns are then checked, rearranged and digested at once:
several times faster than row by row, in SQL as well as in Python.

Rows fit into columns when their values are text (or NULL, where that may be) without a line end or a backslash. They
are *plain* when, beyond that, they need no conversion (`values.convert`) and no escape in COPY text. Where one row of
a portion is not plain, the portion without such rows may be (`PLAIN_ROW`).
"""

import sqlite3
import string
from collections import deque
from dataclasses import dataclass
from datetime import datetime

from migration.file_schema import TABLE
from migration.values import salt_of

NULL = b"\\N"
"""Stands for NULL in a column, as in COPY text. No value looks like it: one with a backslash does not fit."""
MAX_EMAIL_CHARACTERS = 500  # at most 2,000 bytes
MAX_COLUMN_BYTES = 1 << 20
"""A column shorter than this cannot hold a value that is too long."""

# Text sorts above numbers and below blobs, so two comparisons replace typeof() for every row.
_TYPES = " AND ".join(
    [f"min({name}) >= '' AND max({name}) < x''" for name in ("email", "password")]
    + [f"ifnull(min({name}) >= '' AND max({name}) < x'', 1)" for name in ("name", "created_at")]
    + [f"max(length(email)) <= {MAX_EMAIL_CHARACTERS}"]
    + ["count(email) = count(*) AND count(password) = count(*)"]
)
_VALUES = ("id", "email", "ifnull(name, '\\N')", "ifnull(created_at, '\\N')", "password")
_SELECT = (
    f"SELECT count(*), count(name) + count(created_at), {_TYPES},"  # noqa: S608
    + ", ".join(f"group_concat({value}, '\n')" for value in _VALUES)
    + f" FROM {TABLE} WHERE id >= ? AND id <= ?"
)
PLAIN_ROW = (
    f"typeof(email) = 'text' AND length(email) <= {MAX_EMAIL_CHARACTERS} AND typeof(password) = 'text'"
    " AND (name IS NULL OR typeof(name) = 'text')"
    " AND (created_at IS NULL OR created_at >= '0001' AND datetime(created_at, '+0 days') IS created_at)"
)
"""Whether one row may be plain. The modifier makes SQLite compute the date: `24:00:00` would come back as it is."""

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_DATE_SHAPE = b"0000-00-00 00:00:00\n"
_BCRYPT_SIGNS = (b"$", b"2", b"abxy", b"$", string.digits.encode(), string.digits.encode(), b"$")
_BCRYPT_LENGTH, _SALT_LENGTH = 60, 29
_VISIBLE = bytes(range(ord("!"), ord("~") + 1))


@dataclass(frozen=True)
class Columns:
    """The values of `rows` rows in the order of keys, a line end between two; `filled` names and dates are no NULL."""

    rows: int
    filled: int
    keys: bytes
    emails: bytes
    names: bytes
    dates: bytes
    hashes: bytes

    def salts(self) -> bytes:
        """A column of what `values.salt_of` says of each hash."""
        if _are_bcrypt(self.hashes, self.rows):
            return _beginnings(self.hashes)
        salts = (salt_of(one.decode(errors="replace")) for one in self.hashes.split(b"\n"))
        return b"\n".join(NULL if salt is None else salt.encode() for salt in salts)


def read(connection: sqlite3.Connection, first: int, last: int, condition: str = "1") -> Columns | None:
    """The rows with keys from `first` to `last` that meet `condition`; None when they do not fit into columns.

    Raises:
        sqlite3.DataError: a column is longer than the connection's limit allows.
    """
    rows, filled, typed, *texts = connection.execute(f"{_SELECT} AND {condition}", (first, last)).fetchone()
    if not rows:
        return Columns(0, 0, b"", b"", b"", b"", b"")
    nulls = 2 * rows - filled
    if not typed or any(text.count(b"\n") != rows - 1 for text in texts):
        return None
    return Columns(rows, filled, *texts) if sum(text.count(b"\\") for text in texts) == nulls else None


def are_plain(columns: Columns) -> bool:
    """Whether every row is plain: UTF-8 without a sign that COPY reads as something else, dates in canonical form."""
    texts = (columns.keys, columns.emails, columns.names, columns.dates, columns.hashes)
    if max(map(len, texts)) >= MAX_COLUMN_BYTES:
        return False
    text = b"\n".join(texts)
    if len(text.translate(None, b"\t\r\0")) != len(text):
        return False
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return _are_plain_dates(columns.dates, columns.rows)


def _are_plain_dates(dates: bytes, count: int) -> bool:
    """Whether PostgreSQL's timestamp would print each as it is here."""
    if NULL in dates:
        given = [date for date in dates.split(b"\n") if date != NULL]
        dates, count = b"\n".join(given), len(given)
    if not count:
        return True
    if dates.translate(_DIGITS) + b"\n" != _DATE_SHAPE * count:
        return False
    if b" 24:" in dates:  # later versions of Python read it as the next day
        return False
    try:
        deque(map(datetime.fromisoformat, dates.decode().split("\n")), maxlen=0)
    except ValueError:
        return False
    return True


def _are_bcrypt(hashes: bytes, rows: int) -> bool:
    """Whether each line is `$2b$12$` and 53 visible signs. Place by place over all lines, where each has its length."""
    line = _BCRYPT_LENGTH + 1
    return (
        len(hashes) == rows * line - 1
        and hashes.translate(None, _VISIBLE) == hashes[_BCRYPT_LENGTH::line] == b"\n" * (rows - 1)
        and not any(hashes[place::line].translate(None, signs) for place, signs in enumerate(_BCRYPT_SIGNS))
    )


def _beginnings(hashes: bytes) -> bytes:
    """The salts of lines that are all bcrypt hashes."""
    salts = bytearray(b"\n" * ((len(hashes) + 1) // (_BCRYPT_LENGTH + 1) * (_SALT_LENGTH + 1)))
    for place in range(_SALT_LENGTH):
        salts[place :: _SALT_LENGTH + 1] = hashes[place :: _BCRYPT_LENGTH + 1]
    return bytes(salts[:-1])
