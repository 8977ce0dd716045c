"""account_emails: this service's copy of each user's email, fed by the user service's events."""

from datetime import datetime

from sqlalchemy import Connection


def store(connection: Connection, user_id: int, email: str, at: datetime) -> None:
    """Keep `email` as the user's, unless a later one is known already."""
    connection.exec_driver_sql(
        "INSERT INTO account_emails (user_id, email, updated_at) VALUES (%s, %s, %s)"
        " ON CONFLICT (user_id) DO UPDATE SET email = EXCLUDED.email, updated_at = EXCLUDED.updated_at"
        " WHERE account_emails.updated_at <= EXCLUDED.updated_at",
        (user_id, email, at),
    )


def clear(connection: Connection) -> None:
    """Forget all of them, before a replay rebuilds the copy."""
    connection.exec_driver_sql("DELETE FROM account_emails")


def email_of(connection: Connection, user_id: int) -> str | None:
    """The email that is known of the user."""
    statement = "SELECT email FROM account_emails WHERE user_id = %s"
    found: str | None = connection.exec_driver_sql(statement, (user_id,)).scalar_one_or_none()
    return found
