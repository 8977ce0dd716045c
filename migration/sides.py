"""The two halves of an account in PostgreSQL: for each database, how its rows are read, written and told about.

Everything is done for many keys in one statement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection

from migration.batch import Entry
from migration.changes import password_event, profile_event
from migration.message import Message
from migration.values import CredentialRow, TargetRow, UserRow
from service_kit.db import insert_rows
from service_kit.events.store import NewEvent


@dataclass(frozen=True)
class Known:
    """What a database holds of one key: its version (None: no applier has written it) and its row, if any."""

    seq: int | None
    row: tuple[Any, ...] | None


@dataclass(frozen=True)
class Look:
    """A database as one statement sees it: its phase row, the youngest chunk's log number, whether rows are rejected,
    and what it knows of the keys that were asked for."""

    epoch: int
    fenced: bool
    cursor: int
    file_id: str | None
    copied_to: int
    rejects: bool
    known: Mapping[int, Known]


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
        """What is known of each of `keys`, in the caller's transaction."""
        return dict(self.look(Message(connection), keys).known)

    def look(self, message: Message, keys: Sequence[int]) -> "Look":
        """Send `message` and, behind it, a look at the phase row and at what is known of each of `keys`."""
        names = ", ".join(f"half.{name}" for name in self.columns)
        message.exec_driver_sql(
            "SELECT phase.epoch, phase.fenced, phase.cursor, phase.file_id,"  # noqa: S608
            " (SELECT COALESCE(max(seq), 0) FROM migration_chunks), EXISTS (SELECT FROM migration_rejects),"
            f" wanted.key, version.seq, half.{self.key}, {names} FROM migration_phase phase"
            " LEFT JOIN unnest(%(keys)s::bigint[]) AS wanted (key) ON true"
            " LEFT JOIN migration_versions version ON version.key = wanted.key"
            f" LEFT JOIN {self.table} half ON half.{self.key} = wanted.key WHERE phase.id = 1",
            {"keys": list(keys)},
        )
        rows: list[tuple[Any, ...]] = [tuple(row) for row in message.send()]
        known = {row[6]: Known(row[7], None if row[8] is None else tuple(row[8:])) for row in rows if keys}
        epoch, fenced, cursor, file_id, copied_to, rejects, *_ = rows[0]
        return Look(epoch, fenced, cursor, file_id, copied_to, rejects, known)

    def write(self, connection: Connection, halves: Sequence[tuple[Any, ...]]) -> None:
        """Insert or overwrite; a row that is the same already is left alone."""
        names = (self.key, *self.columns)
        mine = ", ".join(f"{self.table}.{name}" for name in self.columns)
        theirs = ", ".join(f"excluded.{name}" for name in self.columns)
        insert_rows(
            connection,
            f"{self.table} ({', '.join(names)})",
            halves,
            f"ON CONFLICT ({self.key}) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in self.columns)},"
            f" {self.touch} WHERE ({mine}) IS DISTINCT FROM ({theirs})",
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
