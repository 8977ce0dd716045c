"""The two halves of an account in PostgreSQL: for each database, how its rows are read, written and told about.

Everything is done for many keys in one statement; arrays travel as parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection

from migration.batch import Entry
from migration.changes import password_event, profile_event
from migration.values import CredentialRow, TargetRow, UserRow
from service_kit.events.store import NewEvent


@dataclass(frozen=True)
class Known:
    """What a database holds of one key: its version (None: no applier has written it) and its row, if any."""

    seq: int | None
    row: tuple[Any, ...] | None


class Side:
    """One of the two databases. Subclasses say what a half is; `name` is the database's name in reports."""

    name: str
    table: str
    key: str
    columns: ClassVar[Mapping[str, str]]
    """Column and array type of what is written beside the key."""
    touch: str
    """What else an update sets."""

    def half(self, row: TargetRow) -> tuple[Any, ...]:
        """The key and the values of `columns`."""
        raise NotImplementedError

    def event(self, entries: Sequence[Entry], known: Known, after: tuple[Any, ...] | None) -> NewEvent | None:
        """The event that follows from the change of one key."""
        raise NotImplementedError

    def is_empty(self, connection: Connection) -> bool:
        """Whether the database holds no account."""
        found = connection.exec_driver_sql(f"SELECT EXISTS (SELECT FROM {self.table})")  # noqa: S608
        return not found.scalar_one()

    def read(self, connection: Connection, keys: Sequence[int]) -> dict[int, Known]:
        """What is known of each of `keys`."""
        names = ", ".join(f"half.{name}" for name in self.columns)
        found = connection.exec_driver_sql(
            f"SELECT wanted.key, version.seq, half.{self.key}, {names}"  # noqa: S608
            " FROM unnest(%(keys)s::bigint[]) AS wanted (key)"
            " LEFT JOIN migration_versions version ON version.key = wanted.key"
            f" LEFT JOIN {self.table} half ON half.{self.key} = wanted.key",
            {"keys": list(keys)},
        )
        return {row[0]: Known(row[1], None if row[2] is None else tuple(row[2:])) for row in found}

    def write(self, connection: Connection, halves: Sequence[tuple[Any, ...]]) -> None:
        """Insert or overwrite; a row that is the same already is left alone."""
        if not halves:
            return
        names = (self.key, *self.columns)
        arrays = ", ".join(f"%s::{kind}[]" for kind in ("bigint", *self.columns.values()))
        mine = ", ".join(f"{self.table}.{name}" for name in self.columns)
        theirs = ", ".join(f"excluded.{name}" for name in self.columns)
        connection.exec_driver_sql(
            f"INSERT INTO {self.table} ({', '.join(names)}) SELECT * FROM unnest({arrays})"  # noqa: S608
            f" ON CONFLICT ({self.key}) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in self.columns)},"
            f" {self.touch} WHERE ({mine}) IS DISTINCT FROM ({theirs})",
            tuple(list(column) for column in zip(*halves, strict=True)),
        )

    def remove(self, connection: Connection, keys: Sequence[int]) -> None:
        """Delete the rows of `keys`, if they are there."""
        if keys:
            connection.exec_driver_sql(
                f"DELETE FROM {self.table} WHERE {self.key} = ANY(%(keys)s)",  # noqa: S608
                {"keys": list(keys)},
            )


class UserSide(Side):
    """`users` in `user_db`."""

    name = "user_db"
    table = "users"
    key = "id"
    columns: ClassVar[Mapping[str, str]] = {
        "email": "text",
        "name": "text",
        "created_at": "timestamp",
        "created_at_source": "text",
    }
    touch = "status = 'active', pending_since = NULL, updated_at = now()"

    def half(self, row: TargetRow) -> tuple[Any, ...]:
        return tuple(row.user)

    def event(self, entries: Sequence[Entry], known: Known, after: tuple[Any, ...] | None) -> NewEvent | None:
        before = UserRow(*known.row) if known.row else None
        return profile_event(entries, before, UserRow(*after) if after else None)


class AuthSide(Side):
    """`user_credentials` in `auth_db`."""

    name = "auth_db"
    table = "user_credentials"
    key = "user_id"
    columns: ClassVar[Mapping[str, str]] = {"password_hash": "text", "salt": "text"}
    touch = "updated_at = now()"

    def half(self, row: TargetRow) -> tuple[Any, ...]:
        return tuple(row.credential)

    def event(self, entries: Sequence[Entry], known: Known, after: tuple[Any, ...] | None) -> NewEvent | None:
        before = CredentialRow(*known.row) if known.row else None
        return password_event(entries, before, CredentialRow(*after) if after else None)


USER, AUTH = UserSide(), AuthSide()
