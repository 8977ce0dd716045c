"""A digest of some thousand accounts, the same on both sides when every value is.

Both stores string columns together several times faster than rows. Rows that do not fit into columns have no digest:
their range is compared as lines (`verify_chunk`). So are rows that need a conversion, whose digests differ.
"""

import hashlib
import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from migration.columns import NULL, read
from migration.extract import limited
from migration.sides import Side

_TOO_LONG = "54000"  # SQLSTATE: a text of more than a gigabyte


class _Target(NamedTuple):
    """SQL of one half: its columns, the number of its values that may be NULL and are not, of those that must be NULL
    in plain rows and are not, and its digest. A NULL and the text that stands for it give the same digest.
    """

    columns: str
    filled: str
    nothing: str
    digest: str


def _strung(*columns: str) -> str:
    return f"md5(concat_ws(E'\\n', {', '.join(f'string_agg({one}, chr(10))' for one in columns)}))"


def _or_null(column: str) -> str:
    return f"COALESCE({column}, E'\\\\N')"


_TARGET = {
    "user_db": _Target(
        # a row that is not active is no row to anybody: let it differ
        "id, CASE status WHEN 'active' THEN email END AS email, name, created_at, created_at_source",
        "count(name) + count(created_at)",
        "count(created_at_source)",
        _strung("id::text", "email", _or_null("name"), _or_null("created_at::text")),
    ),
    "auth_db": _Target(
        "user_id, password_hash, salt",
        "count(salt)",
        "0",
        _strung("user_id::text", "password_hash", _or_null("salt")),
    ),
}


@dataclass(frozen=True)
class Digest:
    """One half of a range: how many rows, how many values that may be NULL are not, and the digest of all values."""

    rows: int
    filled: int
    md5: str | None


def source_digests(connection: sqlite3.Connection, first: int, last: int) -> dict[str, Digest] | None:
    """By database name, for the keys from `first` to `last`; None when a row does not fit into columns."""
    try:
        with limited(connection):
            columns = read(connection, first, last)
    except sqlite3.DataError:  # too much text
        return None
    if columns is None:
        return None
    rows = columns.rows
    if not rows:
        return {"user_db": Digest(0, 0, None), "auth_db": Digest(0, 0, None)}
    salts = columns.salts()
    return {
        "user_db": Digest(
            rows, columns.filled, _digest(columns.keys, columns.emails, columns.names, columns.dates)
        ),
        "auth_db": Digest(
            rows, rows - salts.split(b"\n").count(NULL), _digest(columns.keys, columns.hashes, salts)
        ),
    }


def _digest(*columns: bytes) -> str:
    return hashlib.md5(b"\n".join(columns), usedforsecurity=False).hexdigest()


def target_digest(target: Connection, side: Side, first: int, last: int, most: int) -> Digest | None:
    """What the database has in the range; None when that is more than `most` rows, or something no plain row has."""
    columns, filled, nothing, digest = _TARGET[side.name]
    keys = f"BETWEEN {first} AND {last}"
    statement = (
        f"SELECT count(*), {filled}, {nothing}, CASE WHEN count(*) > 0 THEN {digest} END,"  # noqa: S608
        f" EXISTS (SELECT FROM migration_rejects WHERE key {keys})"
        f" FROM (SELECT {columns} FROM {side.table} WHERE {side.key} {keys}"
        f" ORDER BY {side.key} LIMIT {most + 1}) AS half"
    )
    try:
        rows, filled_values, extra, text, rejected = target.exec_driver_sql(statement).one()
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) != _TOO_LONG:
            raise
        return None
    return None if extra or rejected or rows > most else Digest(rows, filled_values, text)


def columns_of(side: Side) -> str:
    """What a half consists of, for a SELECT whose lines are those of `extract`."""
    return _TARGET[side.name].columns
