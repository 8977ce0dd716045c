"""A legacy file as a test fills it, a worker that lives in the test, and both sides read without the toolkit."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import Engine

from migration import copy, verify, verify_chunk
from migration import plan as plans
from migration.passes import advance, is_complete, run_chunk
from migration.plan import COPY, Plan
from migration.session import Session
from migration.throttle import Throttle

SCHEMA = (
    "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT UNIQUE NOT NULL,"
    " password TEXT NOT NULL, name TEXT, created_at DATETIME DEFAULT CURRENT_TIMESTAMP)"
)
HASH = "$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"


def make_file(path: Path, users: int, journal_mode: str = "wal") -> sqlite3.Connection:
    """A legacy file with `users` plain users (ids from 1), and the legacy server's connection to it."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    connection.execute(f"PRAGMA journal_mode = {journal_mode}")
    connection.execute(SCHEMA)
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO users (email, password, name, created_at) VALUES (?, ?, ?, ?)",
        ((f"user{n}@example.com", HASH, f"User {n}", "2024-01-31 10:20:30") for n in range(1, users + 1)),
    )
    connection.execute("COMMIT")
    return connection


class InlineQueue:
    """Collects what would go to Celery; `work_off` does it here."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []

    def send(self, _task: str, *, plan: str, chunk: int, keys: str) -> bool:
        assert keys
        self.sent.append((plan, chunk))
        return True


def work_off(session: Session, plan: Plan) -> None:
    """Do every chunk of a plan, as workers would, in this thread."""
    queue, throttle = InlineQueue(), Throttle(session, None)
    work = copy.run if plan.kind == COPY else verify_chunk.run
    while not is_complete(session, plan.id):
        assert advance(session, queue, throttle, plan.id) is None  # type: ignore[arg-type]
        assert queue.sent, "nothing is queued and the plan is not complete"
        for plan_id, chunk in queue.sent:
            assert run_chunk(session, throttle, plan_id, chunk, lambda held: work(session, held)) == "done"
        queue.sent.clear()


def copy_all(session: Session) -> Plan:
    """`flask migration copy`, in this thread."""
    plan = copy.begin(session)
    assert plan is not None
    work_off(session, plan)
    assert copy.finish(session, plan)
    return plans.get(session.migration, plan.id)


def verify_all(session: Session) -> verify.Verdict:
    """`flask migration verify`, in this thread."""
    plan = verify.begin(session)
    work_off(session, plan)
    assert verify.finish(session, plan)
    return verify.verdict(session.migration, plan)


def query(engine: Engine, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of a statement on a connection of the test's own, which the triggers let write."""
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SET LOCAL migration.applying = 'on'")
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def accounts(session: Session) -> dict[int, tuple[Any, ...]]:
    """id: (email, hash, name, created_at as text, its source form), of what both databases hold."""
    users = query(
        session.user, "SELECT id, email, name, created_at::text, created_at_source, status FROM users"
    )
    hashes = dict(query(session.auth, "SELECT user_id, password_hash FROM user_credentials"))
    found = {}
    for key, email, name, created_at, source, status in users:
        assert status == "active"
        found[key] = (email, hashes.pop(key), name, created_at, source)
    assert hashes == {}, "credentials without a user"
    return found


def plain_accounts(file: sqlite3.Connection) -> dict[int, tuple[Any, ...]]:
    """What `accounts` should find for a file with canonical dates only."""
    rows: Iterable[tuple[Any, ...]] = file.execute("SELECT id, email, password, name, created_at FROM users")
    return {row[0]: (row[1], row[2], row[3], row[4], None) for row in rows}
