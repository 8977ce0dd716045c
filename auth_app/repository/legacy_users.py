"""The users table of the legacy file: what the auth service reads and writes while the file is the truth."""

from sqlite3 import Connection
from typing import Any

from auth_app.domain import Account

_BY_EMAIL = "SELECT id, email, name, password FROM users WHERE email = ?"


def account_by_email(connection: Connection, email: str) -> Account | None:
    """The user with this email, as the legacy server would have found it."""
    row = connection.execute(_BY_EMAIL, (email,)).fetchone()
    return Account(*row) if row else None


def password_hash(connection: Connection, user_id: int) -> tuple[Any] | None:
    """(stored hash,), or None when there is no such user."""
    row: tuple[Any] | None = connection.execute(
        "SELECT password FROM users WHERE id = ?", (user_id,)
    ).fetchone()
    return row


def replace_password_hash(connection: Connection, user_id: int, old: Any, new: str) -> bool:
    """Set the hash to `new` where it is still `old`; False when it is not."""
    statement = "UPDATE users SET password = ? WHERE id = ? AND password IS ?"
    return connection.execute(statement, (new, user_id, old)).rowcount == 1


def note_kept_token(connection: Connection, user_id: int, token_id: str) -> None:
    """Tell whoever applies the file's log which token outlives a password change; without a log, nobody."""
    log = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migration_log'")
    if log.fetchone():
        connection.execute("INSERT INTO migration_log (key, kept_token) VALUES (?, ?)", (user_id, token_id))
