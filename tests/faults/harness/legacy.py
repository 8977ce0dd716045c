"""The legacy server's file as the harness makes it, and both stores as code reads them that shares nothing with the
toolkit: plain sqlite3 and psycopg2."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2

SCHEMA = (
    "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT UNIQUE NOT NULL,"
    " password TEXT NOT NULL, name TEXT, created_at DATETIME DEFAULT CURRENT_TIMESTAMP)"
)
FIELDS = ("email", "password", "name", "created_at")
Row = tuple[Any, ...]  # the values of FIELDS
EMAILS = 40


def email(number: int) -> str:
    """One of the few addresses that all writers share, so that they free and take each other's."""
    return f"user{number % EMAILS}@example.com"


def make(path: Path, rng: random.Random) -> None:
    """A legacy file with some tens of rows: gaps, old and odd dates, names that are missing."""
    with sqlite3.connect(path) as file:
        file.execute(f"PRAGMA journal_mode = {rng.choice(('wal', 'delete'))}")
        file.execute(SCHEMA)
        numbers = rng.sample(range(EMAILS), rng.randint(8, 30))
        ids = sorted(rng.sample(range(1, 60), len(numbers)))
        if rng.random() < 0.3:
            ids[-1] = 2**40 + rng.randint(0, 9)
        for key, number in zip(ids, numbers, strict=True):
            file.execute(
                "INSERT INTO users VALUES (?, ?, ?, ?, ?)",
                (key, email(number), f"hash of the first {key}", _name(key, rng), _date(rng)),
            )
        if rng.random() < 0.5:
            file.execute("DELETE FROM users WHERE id = ?", (ids[-1],))
    file.close()


def _name(key: int, rng: random.Random) -> str | None:
    return rng.choice((None, f"first {key}", f"ünïcode {key} 😀", "", " spaced "))


def _date(rng: random.Random) -> Any:
    return rng.choice((
        "2024-02-29 12:00:00", "2023-01-01 00:00:00", "2024-01-01T00:00:00Z", 1_700_000_000, 2_460_000.5, None,
    ))  # fmt: skip


def rows_of_file(path: Path) -> dict[int, Row]:
    """What the file holds."""
    with closing(_open(path)) as file:
        return {
            row[0]: row[1:] for row in file.execute("SELECT id, email, password, name, created_at FROM users")
        }


def state_of_file(path: Path) -> tuple[int, str]:
    """(epoch, phase)."""
    with closing(_open(path)) as file:
        known = file.execute("SELECT 1 FROM sqlite_master WHERE name = 'migration_state'").fetchone()
        if known is None:
            return (0, "legacy")
        epoch, phase = file.execute("SELECT epoch, phase FROM migration_state").fetchone()
        return (epoch, phase)


def _open(path: Path) -> sqlite3.Connection:
    """Not read-only: whoever comes first after a process that died in its commit has to take that back."""
    return sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=10)


def rows_of_databases(user_dsn: str, auth_dsn: str) -> tuple[dict[int, Row], list[str]]:
    """What the two databases hold together, in the file's form, and what of it is not whole."""
    with psycopg2.connect(user_dsn) as user, user.cursor() as cursor:
        cursor.execute("SELECT id, email, name, to_char(created_at, 'YYYY-MM-DD HH24:MI:SS'), created_at_source,"
                       " status FROM users")  # fmt: skip
        users = {row[0]: row[1:] for row in cursor.fetchall()}
    user.close()
    with psycopg2.connect(auth_dsn) as auth, auth.cursor() as cursor:
        cursor.execute("SELECT user_id, password_hash FROM user_credentials")
        hashes = dict(cursor.fetchall())
    auth.close()
    faults = [f"user {key} has no credential" for key in users.keys() - hashes.keys()]
    faults += [f"credential {key} has no user" for key in hashes.keys() - users.keys()]
    faults += [f"user {key} is {row[4]}" for key, row in users.items() if row[4] != "active"]
    return {
        key: (row[0], hashes.get(key), row[1], _source_date(row[2], row[3])) for key, row in users.items()
    }, faults


def _source_date(text: str | None, source: str | None) -> Any:
    """The legacy file's value of a date, out of the two columns that keep it."""
    if source is None:
        return text
    kind, _, value = source.partition(":")
    return {"i": int, "r": float, "t": str}[kind](value)
