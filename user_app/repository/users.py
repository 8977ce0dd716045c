"""Users in user_db. Registrations under way (`registrations`) are invisible here."""

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from service_kit.db import broken_constraint
from user_app.domain import EmailTaken, ProfileChange, User, UserNotFound, legacy_created_at

EMAIL_CONSTRAINT = "users_email_key"

_BY_ID = """
SELECT id, email, name, created_at, created_at_source FROM users WHERE id = %(key)s AND status = 'active'
"""
_BY_EMAIL = """
SELECT id, email, name, created_at, created_at_source FROM users WHERE email = %(key)s AND status = 'active'
"""
_UPDATE = """
UPDATE users SET email = COALESCE(%(email)s, email), name = COALESCE(%(name)s, name), updated_at = now()
WHERE id = %(id)s AND status = 'active' RETURNING id, email, name, created_at, created_at_source
"""


def by_id(connection: Connection, user_id: int) -> User | None:
    """The active user with this id."""
    return _one(connection, _BY_ID, user_id)


def by_email(connection: Connection, email: str) -> User | None:
    """The active user with exactly this address."""
    return _one(connection, _BY_EMAIL, email)


def lock(connection: Connection, user_id: int) -> User:
    """The active user, locked until the transaction's end. UserNotFound."""
    user = _one(connection, _BY_ID + "FOR NO KEY UPDATE", user_id)
    if user is None:
        raise UserNotFound
    return user


def update(connection: Connection, user_id: int, change: ProfileChange) -> User:
    """Apply `change` and return the user. EmailTaken, UserNotFound."""
    values = {"email": change.email, "name": change.name, "id": user_id}
    try:
        row = connection.exec_driver_sql(_UPDATE, values).one_or_none()
    except IntegrityError as error:
        if broken_constraint(error) == EMAIL_CONSTRAINT:
            raise EmailTaken from error
        raise
    if row is None:
        raise UserNotFound
    return to_user(row)


def to_user(row: Any) -> User:
    """The user of a row of id, email, name, created_at, created_at_source."""
    return User(row.id, row.email, row.name, legacy_created_at(row.created_at, row.created_at_source))


def _one(connection: Connection, statement: str, key: int | str) -> User | None:
    row = connection.exec_driver_sql(statement, {"key": key}).one_or_none()
    return None if row is None else to_user(row)
