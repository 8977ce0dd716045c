"""A legacy file to try things on: the monolith's table with a few hundred users who share one password."""

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import bcrypt

PASSWORD = "sample-password"  # noqa: S105 - of users that do not exist, and documented
USERS = 300

TABLE = """
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    email TEXT UNIQUE NOT NULL,
    password TEXT NOT NULL,
    name TEXT,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP
)
"""

_FIRST_DAY = datetime(2024, 1, 1, 8, 30)  # noqa: DTZ001 - the file has no time zones
_NAMES = (
    "Ada",
    "Björn",
    "Chloé",
    "Dmitri",
    "Emre",
    "Fatima",
    "Goran",
    "Hana",
    "Ines",
    "Jun",
    "Katarína",
    "Liam",
)


def make(path: Path, users: int = USERS) -> None:
    """Writes the file with users `user1@example.com` and on, unless it is there. It appears whole or not at
    all.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    password = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10, prefix=b"2a")).decode()
    connection = sqlite3.connect(draft)
    try:
        with connection:
            connection.execute(TABLE)
            connection.executemany(
                "INSERT INTO users (email, password, name, created_at) VALUES (?, ?, ?, ?)",
                (_row(number, password) for number in range(1, users + 1)),
            )
    finally:
        connection.close()
    draft.rename(path)


def _row(number: int, password: str) -> tuple[str, str, str, str]:
    name = f"{_NAMES[number % len(_NAMES)]} {number}"
    created = _FIRST_DAY + timedelta(hours=7 * number, seconds=13 * number)
    return f"user{number}@example.com", password, name, created.strftime("%Y-%m-%d %H:%M:%S")
