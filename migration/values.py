"""One row of the legacy table as two PostgreSQL rows, exactly, or as a reject; and the way back.

SQLite keeps any value in any column. What PostgreSQL can hold is kept to the last byte: ids of every 64-bit sign,
emails that differ in case, hashes that are not bcrypt, dates in forms of their own (`dates`). What it cannot hold is
never changed: the whole row becomes a `Reject` with the first offending column, the reason and the raw bytes.

Pure: no database, no clock. `source` reads the raw rows, `columns` knows the rows that need no conversion.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from migration.dates import Instant, UnreadableDate, read_date, source_date

COLUMNS = ("id", "email", "password", "name", "created_at")
"""The legacy columns, in the order of a raw row."""

MAX_EMAIL_BYTES = 2000
"""A key of PostgreSQL's B-tree has at most 2,704 bytes, and the email is unique."""
MAX_TEXT_BYTES = 1 << 20
MAX_RAW_BYTES = 16 << 20
"""What a reject keeps of an oversized value; its length stays known through the reason."""

_BCRYPT = re.compile(r"\$2[abxy]\$[0-9][0-9]\$")
_BCRYPT_LENGTH = 60
_SALT_LENGTH = 29


class Text(bytes):
    """A value of storage class TEXT as its bytes; plain `bytes` are a BLOB. Use as sqlite3's `text_factory`."""

    __slots__ = ()


Raw = int | float | Text | bytes | None
"""A value as SQLite stores it: INTEGER, REAL, TEXT, BLOB or NULL."""
RawRow = tuple[int, Raw, Raw, Raw, Raw]
"""COLUMNS of one row."""


class Reason(StrEnum):
    """Why PostgreSQL cannot hold a value as it is."""

    MISSING = "missing"
    NOT_TEXT = "not_text"
    NUL = "nul_character"
    NOT_UTF8 = "not_utf8"
    TOO_LONG = "too_long"
    IMPOSSIBLE_DATE = "impossible_date"
    UNREADABLE_DATE = "unreadable_date"
    DATE_OUT_OF_RANGE = "date_out_of_range"


class UserRow(NamedTuple):
    """The half in `users`. `created_at`: UTC without a zone; `created_at_source`: its legacy form, see `dates`."""

    id: int
    email: str
    name: str | None
    created_at: datetime | None
    created_at_source: str | None


class CredentialRow(NamedTuple):
    """The half in `user_credentials`. `salt`: the first 29 characters of a bcrypt hash, None for other hashes."""

    user_id: int
    password_hash: str
    salt: str | None


class TargetRow(NamedTuple):
    """Both halves of one account."""

    user: UserRow
    credential: CredentialRow


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that stays behind: its key, the offending column, why, and the value's bytes (numbers as their digits)."""

    key: int
    column: str
    reason: str
    raw: bytes | None


class _Refused(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def convert(row: RawRow) -> TargetRow | Reject:
    """Both halves of a raw row, or why there are none. Two calls with the same row give equal results."""
    key, email, password, name, created_at = row
    column, value = "email", email
    try:
        mail = _required_text(email, MAX_EMAIL_BYTES)
        column, value = "password", password
        secret = _required_text(password, MAX_TEXT_BYTES)
        column, value = "name", name
        full_name = None if name is None else _required_text(name, MAX_TEXT_BYTES)
        column, value = "created_at", created_at
        instant = _instant(created_at)
    except _Refused as refused:
        return Reject(key, column, refused.reason, raw_bytes(value))
    user = UserRow(key, mail, full_name, instant.at, instant.source)
    return TargetRow(user, CredentialRow(key, secret, salt_of(secret)))


def revert(
    user: UserRow, credential: CredentialRow
) -> tuple[int, str, str, str | None, int | float | str | None]:
    """The legacy row (COLUMNS) of two halves: of a converted row exactly the values that it was converted from."""
    created_at = source_date(user.created_at, user.created_at_source)
    return user.id, user.email, credential.password_hash, user.name, created_at


def salt_of(password_hash: str) -> str | None:
    """The salt with its parameters out of a bcrypt string, None for any other."""
    if len(password_hash) == _BCRYPT_LENGTH and _BCRYPT.match(password_hash):
        return password_hash[:_SALT_LENGTH]
    return None


def raw_bytes(value: Raw) -> bytes | None:
    """A value's bytes for the record, at most MAX_RAW_BYTES; None for NULL."""
    if value is None:
        return None
    if isinstance(value, (int, float)):
        return repr(value).encode()
    return bytes(value[:MAX_RAW_BYTES])


def _required_text(value: Raw, limit: int) -> str:
    if value is None:
        raise _Refused(Reason.MISSING)
    if not isinstance(value, Text):
        raise _Refused(Reason.NOT_TEXT)
    if len(value) > limit:
        raise _Refused(f"{Reason.TOO_LONG}: {len(value)} bytes, at most {limit}")
    return _decoded(value)


def _decoded(value: Text) -> str:
    if b"\0" in value:
        raise _Refused(Reason.NUL)
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Refused(Reason.NOT_UTF8) from error


def _instant(value: Raw) -> Instant:
    if isinstance(value, bytes):
        text = _required_text(value, MAX_TEXT_BYTES)
        return _read(text)
    return _read(value)


def _read(value: int | float | str | None) -> Instant:
    try:
        return read_date(value)
    except UnreadableDate as error:
        raise _Refused(Reason(error.reason)) from error
