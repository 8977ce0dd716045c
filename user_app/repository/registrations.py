"""Registrations under way in user_db: pending rows hold their email and are invisible to everything else."""

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from service_kit.db import broken_constraint
from user_app.domain import User
from user_app.repository.users import EMAIL_CONSTRAINT, to_user

_ACTIVATE = """
UPDATE users SET status = 'active', pending_since = NULL, updated_at = now()
WHERE id = %(id)s AND status = 'pending' RETURNING id, email, name, created_at, created_at_source
"""
_REMOVE = "DELETE FROM users WHERE id = %(id)s AND status = 'pending'"


class EmailHeld(Exception):
    """A row, active or pending, has the address."""


def add_pending(connection: Connection, email: str, name: str | None) -> int:
    """Insert a pending row; answers its new id. EmailHeld."""
    try:
        return int(
            connection.exec_driver_sql(
                "INSERT INTO users (email, name, status, pending_since)"
                " VALUES (%(email)s, %(name)s, 'pending', clock_timestamp()) RETURNING id",
                {"email": email, "name": name},
            ).scalar_one()
        )
    except IntegrityError as error:
        if broken_constraint(error) == EMAIL_CONSTRAINT:
            raise EmailHeld from error
        raise


def pending_by_email(connection: Connection, email: str) -> tuple[int, float] | None:
    """(id, age in seconds) of the registration under way for this address."""
    row = connection.exec_driver_sql(
        "SELECT id, EXTRACT(EPOCH FROM clock_timestamp() - pending_since)::float AS age FROM users"
        " WHERE email = %(email)s AND status = 'pending'",
        {"email": email},
    ).one_or_none()
    return None if row is None else (row.id, row.age)


def pending_longer_than(connection: Connection, seconds: float, limit: int) -> list[int]:
    """Ids of the oldest registrations under way that are older than `seconds`."""
    return list(
        connection.exec_driver_sql(
            "SELECT id FROM users WHERE status = 'pending'"
            " AND pending_since < clock_timestamp() - make_interval(secs => %(seconds)s)"
            " ORDER BY pending_since LIMIT %(limit)s",
            {"seconds": seconds, "limit": limit},
        ).scalars()
    )


def activate(connection: Connection, user_id: int) -> User | None:
    """Make a pending user active; None when it is not pending (any more)."""
    row = connection.exec_driver_sql(_ACTIVATE, {"id": user_id}).one_or_none()
    return None if row is None else to_user(row)


def remove(connection: Connection, user_id: int) -> bool:
    """Delete a pending row: its email is free again. False when there is none (any more)."""
    deleted = connection.exec_driver_sql(_REMOVE, {"id": user_id})
    return deleted.rowcount == 1
