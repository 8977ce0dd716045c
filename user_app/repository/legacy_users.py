"""Users in the legacy SQLite file, by the statements that the legacy server used."""

import sqlite3
from typing import Any

from user_app.domain import EmailTaken, ProfileChange, User, UserExists, UserNotFound

_BY_ID = "SELECT id, email, name, created_at FROM users WHERE id = ?"
_BY_EMAIL = "SELECT id, email, name, created_at FROM users WHERE email = ?"


def add(connection: sqlite3.Connection, email: str, password_hash: str, name: str | None) -> User:
    """Insert a whole user. UserExists when the address is taken."""
    if by_email(connection, email) is not None:
        raise UserExists
    values = (email, password_hash, name)
    try:
        added = connection.execute("INSERT INTO users (email, password, name) VALUES (?, ?, ?)", values)
    except sqlite3.IntegrityError as error:
        raise UserExists from error
    return _the(connection, added.lastrowid)


def by_id(connection: sqlite3.Connection, user_id: int) -> User | None:
    """The user with this id."""
    return _one(connection.execute(_BY_ID, (user_id,)))


def by_email(connection: sqlite3.Connection, email: str) -> User | None:
    """The user with exactly this address."""
    return _one(connection.execute(_BY_EMAIL, (email,)))


def update(connection: sqlite3.Connection, user_id: int, change: ProfileChange) -> User:
    """Apply `change` and return the user. UserNotFound, EmailTaken."""
    if by_id(connection, user_id) is None:
        raise UserNotFound
    if change.email is not None:
        other = by_email(connection, change.email)
        if other is not None and other.id != user_id:
            raise EmailTaken
    try:
        connection.execute(
            "UPDATE users SET email = COALESCE(?, email), name = COALESCE(?, name) WHERE id = ?",
            (change.email, change.name, user_id),
        )
    except sqlite3.IntegrityError as error:
        raise EmailTaken from error
    return _the(connection, user_id)


def _the(connection: sqlite3.Connection, user_id: int | None) -> User:
    """The user who was written in this transaction."""
    user = by_id(connection, user_id or 0)
    if user is None:
        raise LookupError(f"user {user_id} is gone within one transaction")
    return user


def _one(rows: sqlite3.Cursor) -> User | None:
    row = rows.fetchone()
    return None if row is None else User(*map(_plain, row))


def _plain(value: Any) -> Any:
    """A blob as the legacy server's JSON showed it."""
    return {"type": "Buffer", "data": list(value)} if isinstance(value, bytes) else value
