"""The unique index on `users.email` is built once, behind the bulk copy, instead of being kept up row by row.

Filling it in random order is more than half of what PostgreSQL has to do for a copied user. Nothing needs it before
the phase `copied`: the file is the truth and keeps emails unique itself, and both appliers and chunks go by key.
`restore` is owed by whoever ends a copy; the phase does not become `copied` without it, nor `verified`.
"""

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from migration.answer import ERROR, Issue, refused

_NAME = "users_email_key"
_BUILD = "users_email_key_new"
_UNIQUE_VIOLATION = "23505"


def drop(engine: Engine) -> bool:
    """Drop the constraint while `users` is empty; False when rows are there, for which it is kept."""
    with engine.begin() as connection:
        if connection.exec_driver_sql("SELECT EXISTS (SELECT FROM users)").scalar_one():
            return False
        connection.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
        connection.exec_driver_sql(f"ALTER TABLE users DROP CONSTRAINT IF EXISTS {_NAME}")
    return True


def present(engine: Engine) -> bool:
    """Whether emails are unique in `user_db`."""
    with engine.connect() as connection:
        return _is_present(connection)


def restore(engine: Engine) -> bool:
    """Build the index without stopping writers, then make it the constraint; False when it was there.

    Raises:
        Refused: two users have the same email.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if _is_present(connection):
            return False
        connection.exec_driver_sql("SET statement_timeout = 0; SET maintenance_work_mem = '128MB'")
        try:
            connection.exec_driver_sql(f"DROP INDEX IF EXISTS {_BUILD}")  # of a build that was interrupted
            connection.exec_driver_sql(f"CREATE UNIQUE INDEX CONCURRENTLY {_BUILD} ON users (email)")
            connection.exec_driver_sql(
                f"ALTER TABLE users ADD CONSTRAINT {_NAME} UNIQUE USING INDEX {_BUILD} DEFERRABLE INITIALLY IMMEDIATE"
            )
        except DBAPIError as error:
            if getattr(error.orig, "pgcode", None) != _UNIQUE_VIOLATION:
                raise
            raise refused(
                "email_not_unique",
                "Two users in user_db have the same email, so it cannot be made unique.",
                "flask migration doctor tells whether the legacy file has them; if not, run the command again.",
            ) from error
        finally:
            connection.exec_driver_sql("RESET statement_timeout; RESET maintenance_work_mem")
    return True


def missing() -> Issue:
    """The finding for a `user_db` without it."""
    return Issue(
        "email_index_missing",
        ERROR,
        "users.email is not unique in user_db: a bulk copy was begun and not ended.",
        "flask migration copy ends it.",
    )


def _is_present(connection: Connection) -> bool:
    found = connection.exec_driver_sql(
        "SELECT 1 FROM pg_constraint WHERE conrelid = 'users'::regclass AND conname = %s", (_NAME,)
    )
    return found.scalar() is not None
