"""Removing rows that nothing can need any more, a bounded number at a time."""

from datetime import datetime

from sqlalchemy import Connection

BATCH = 5000

EXPIRING = {
    "session_tokens": "token_id",
    "sessions": "id",
    "revocations": "token_id",
    "user_cutoffs": "user_id",
}
"""Tables whose rows have an `expires_at`, each with its key. Tokens before the sessions that they belong to."""


def delete_expired(connection: Connection, table: str, before: datetime) -> int:
    """Remove at most `BATCH` rows of one of `EXPIRING` that expired earlier than `before`; answers how many."""
    return _delete(connection, table, EXPIRING[table], "expires_at", before)


def delete_audit(connection: Connection, before: datetime) -> int:
    """Remove at most `BATCH` lines of the audit log from earlier than `before`; answers how many."""
    return _delete(connection, "audit_log", "id", "at", before)


def _delete(connection: Connection, table: str, key: str, column: str, before: datetime) -> int:
    # The time is looked at twice: a row may have been given more of it while the statement waited for its lock.
    statement = (
        f"DELETE FROM {table} WHERE {column} < %(before)s AND {key} IN"  # noqa: S608 - names of ours
        f" (SELECT {key} FROM {table} WHERE {column} < %(before)s ORDER BY {column} LIMIT %(limit)s)"
    )
    return connection.exec_driver_sql(statement, {"before": before, "limit": BATCH}).rowcount
