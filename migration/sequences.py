"""Ids are never given twice, whichever store gives them: each side's counter is moved past the other's, never back."""

import sqlite3

from sqlalchemy import Connection

from migration.file_schema import TABLE


def raise_sequence(connection: Connection, highest: int) -> int:
    """`user_db` continues above `highest`; returns the highest id that it counts as given afterwards.

    A sequence is not part of a transaction. Moving it and then failing costs numbers and nothing else.
    """
    given = last_value(connection)
    if highest > given:
        name = _sequence(connection)
        connection.exec_driver_sql("SELECT setval(%s, %s)", (name, highest))
        return highest
    return given


def last_value(connection: Connection) -> int:
    """The highest id that `user_db` has given, 0 when none."""
    name = _sequence(connection)
    row = connection.exec_driver_sql(f"SELECT last_value, is_called FROM {name}").one()  # noqa: S608
    return int(row[0]) if row[1] else int(row[0]) - 1


def raise_counter(connection: sqlite3.Connection, highest: int) -> None:
    """The file continues above `highest`, in the caller's transaction."""
    moved = connection.execute(
        "UPDATE sqlite_sequence SET seq = max(coalesce(seq, 0), ?) WHERE name = ?", (highest, TABLE)
    )
    if moved.rowcount == 0:
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (TABLE, highest))


def _sequence(connection: Connection) -> str:
    """The sequence behind `users.id`, quoted as SQL wants it."""
    name: str = connection.exec_driver_sql("SELECT pg_get_serial_sequence('users', 'id')").scalar_one()
    return name
