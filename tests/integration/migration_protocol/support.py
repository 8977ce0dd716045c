"""The legacy server as a test plays it, and both sides read by code that shares nothing with the toolkit."""

import sqlite3
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine

SCHEMA = (
    "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT UNIQUE NOT NULL,"
    " password TEXT NOT NULL, name TEXT, created_at DATETIME DEFAULT CURRENT_TIMESTAMP)"
)

BOTH_MODES = pytest.mark.parametrize("journal_mode", ["delete", "wal"])
"""The two ways in which SQLite keeps a transaction atomic; readers and writers meet differently in them."""

Account = tuple[str, str, str | None, str | None]
"""email, password hash, name, created_at."""


class Legacy:
    """The legacy server: a connection that is opened before the migration and never closed in between."""

    def __init__(self, path: Path, journal_mode: str) -> None:
        self.path = path
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=1.0, check_same_thread=False)
        self.connection.execute(f"PRAGMA journal_mode = {journal_mode}")
        self.connection.execute(SCHEMA)
        for name in ("ann", "bob", "cat"):
            self.add(name)

    def __enter__(self) -> "Legacy":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def run(self, statement: str, *values: Any) -> list[Any]:
        """One statement, as the legacy server would send it."""
        return self.connection.execute(statement, values).fetchall()

    def add(self, name: str) -> int:
        """Registers NAME@example.com and returns the id."""
        cursor = self.connection.execute(
            "INSERT INTO users (email, password, name) VALUES (?, ?, ?)",
            (f"{name}@example.com", f"hash of {name}", name),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def log(self) -> list[tuple[int, str]]:
        """(key, op) of every log entry."""
        return [(key, op) for key, op in self.run("SELECT key, op FROM migration_log ORDER BY seq")]

    def accounts(self) -> dict[int, Account]:
        """What the file holds."""
        rows = self.run("SELECT id, email, password, name, created_at FROM users")
        return {row[0]: tuple(row[1:]) for row in rows}


def accounts_of(user: Engine, auth: Engine) -> dict[int, Account]:
    """What the two databases hold, put together; fails when a half is missing."""
    people = query(user, "SELECT id, email, name, created_at, created_at_source, status FROM users")
    hashes = dict(query(auth, "SELECT user_id, password_hash FROM user_credentials"))
    found: dict[int, Account] = {}
    for key, email, name, created_at, source, status in people:
        assert status == "active"
        found[key] = (email, hashes.pop(key), name, _legacy_date(created_at, source))
    assert hashes == {}, "credentials without a user"
    return found


def query(engine: Engine, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of a statement on a connection of the test's own."""
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def events(engine: Engine) -> list[tuple[str, int, dict[str, Any]]]:
    """(type, user_id, data) in the order in which they were appended."""
    return [tuple(row) for row in query(engine, "SELECT type, user_id, data FROM events ORDER BY id")]  # type: ignore[misc]


def _legacy_date(at: datetime | None, source: str | None) -> str | None:
    assert source is None
    return None if at is None else at.strftime("%Y-%m-%d %H:%M:%S")
