"""The reverse logs of the two databases: what was written there since the cutover, and the rows as they are now.

There is no cursor: a slow transaction commits an entry with a lower number than others that were seen long ago. All
entries are read, and exactly those that were read are deleted once the file has their effect.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from migration.values import CredentialRow, UserRow, revert

_AT_ONCE = 5000
LegacyRow = tuple[int, str, str, str | None, int | float | str | None]
"""A row of the legacy table: id, email, password, name, created_at."""


@dataclass(frozen=True)
class ReverseView:
    """Entries, (number, key) each, and rows of both databases, each database as of one moment.

    Rows and entries of a database come from the same snapshot: a row can show no change whose entry is missing, so
    what the file gets is unique in every email. `user_db` is looked at first: an account becomes active after its
    credential was committed, so whoever is seen active there has a credential here.
    """

    user_entries: tuple[tuple[int, int], ...]
    auth_entries: tuple[tuple[int, int], ...]
    _user: Connection
    _auth: Connection

    def __len__(self) -> int:
        return len(self.user_entries) + len(self.auth_entries)

    def accounts(self) -> Iterator[tuple[int, LegacyRow | None]]:
        """Each key with its row as the legacy file would hold it; None: no such account, or one not yet complete."""
        keys = sorted({key for _, key in (*self.user_entries, *self.auth_entries)})
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            people, credentials = _people(self._user, some), _credentials(self._auth, some)
            for key in some:
                person, credential = people.get(key), credentials.get(key)
                yield key, revert(person, credential) if person and credential else None


@contextmanager
def reverse_view(user: Engine, auth: Engine) -> Iterator[ReverseView]:
    """All entries that are committed now, and the rows behind them while the block lasts."""
    with _snapshot(user) as user_connection:
        user_entries = _read(user_connection)
        with _snapshot(auth) as auth_connection:
            yield ReverseView(user_entries, _read(auth_connection), user_connection, auth_connection)


def count_entries(engine: Engine) -> int:
    """How many entries wait in one database."""
    with engine.connect() as connection:
        count: int = connection.exec_driver_sql("SELECT count(*) FROM migration_reverse_log").scalar_one()
    return count


def waiting(engine: Engine) -> tuple[int, float]:
    """How many entries wait in one database, and for how long the oldest has (seconds)."""
    with engine.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT count(*), COALESCE(GREATEST(extract(epoch FROM clock_timestamp() - min(at)), 0), 0)::float8"
            " FROM migration_reverse_log"
        ).one()
    return row[0], row[1]


def delete_entries(engine: Engine, entries: Sequence[tuple[int, int]]) -> None:
    """Delete exactly these; others may have come since."""
    for start in range(0, len(entries), _AT_ONCE):
        ids = [number for number, _ in entries[start : start + _AT_ONCE]]
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "DELETE FROM migration_reverse_log WHERE id = ANY(%(ids)s)", {"ids": ids}
            )


@contextmanager
def _snapshot(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection.execution_options(isolation_level="REPEATABLE READ")


def _read(connection: Connection) -> tuple[tuple[int, int], ...]:
    rows = connection.exec_driver_sql("SELECT id, key FROM migration_reverse_log ORDER BY id")
    return tuple((row[0], row[1]) for row in rows)


def _people(connection: Connection, keys: list[int]) -> dict[int, UserRow]:
    rows = connection.exec_driver_sql(
        "SELECT id, email, name, created_at, created_at_source FROM users"
        " WHERE id = ANY(%(keys)s) AND status = 'active'",
        {"keys": keys},
    )
    return {row[0]: UserRow(*row) for row in rows}


def _credentials(connection: Connection, keys: list[int]) -> dict[int, CredentialRow]:
    rows = connection.exec_driver_sql(
        "SELECT user_id, password_hash, salt FROM user_credentials WHERE user_id = ANY(%(keys)s)",
        {"keys": keys},
    )
    return {row[0]: CredentialRow(*row) for row in rows}
