"""Registrations that are half done when PostgreSQL is fenced for a rollback: each becomes whole or nothing.

The credential in `auth_db` decides. Without one the id is marked as given up in the same transaction, so that none can
follow. No service can write meanwhile: both databases are fenced at this epoch, and that is checked in each
transaction, together with the lock that keeps it so.
"""

from sqlalchemy import Connection, Engine

from service_kit.events.catalog import USER_REGISTERED
from service_kit.events.store import NewEvent, append_many
from service_kit.truth.phase import lock_phase


class NotFenced(Exception):
    """A database is no longer fenced at the rollback's epoch: somebody has moved on."""


def settle_pending(user: Engine, auth: Engine, epoch: int) -> int:
    """Settle every pending row of `user_db`; returns how many there were.

    Raises:
        NotFenced: a database is not at (epoch, fenced).
    """
    keys = pending(user)
    if keys:
        whole = _settle_credentials(auth, epoch, keys)
        _settle_users(user, epoch, keys, whole)
    return len(keys)


def pending(user: Engine) -> list[int]:
    """Ids of registrations without an end."""
    with user.connect() as connection:
        return list(connection.exec_driver_sql("SELECT id FROM users WHERE status = 'pending'").scalars())


def _settle_credentials(auth: Engine, epoch: int, keys: list[int]) -> list[int]:
    """Ids with a credential; the others are given up."""
    with auth.begin() as connection:
        _enter(connection, epoch)
        whole = list(
            connection.exec_driver_sql(
                "SELECT user_id FROM user_credentials WHERE user_id = ANY(%(keys)s)", {"keys": keys}
            ).scalars()
        )
        connection.exec_driver_sql(
            "INSERT INTO credentials_given_up (user_id) SELECT unnest(%(lost)s::bigint[]) ON CONFLICT DO NOTHING",
            {"lost": [key for key in keys if key not in set(whole)]},
        )
    return whole


def _settle_users(user: Engine, epoch: int, keys: list[int], whole: list[int]) -> None:
    with user.begin() as connection:
        _enter(connection, epoch)
        activated = connection.exec_driver_sql(
            "UPDATE users SET status = 'active', pending_since = NULL, updated_at = now()"
            " WHERE id = ANY(%(whole)s) AND status = 'pending' RETURNING id, email, name",
            {"whole": whole},
        ).all()
        connection.exec_driver_sql(
            "DELETE FROM users WHERE id = ANY(%(keys)s) AND status = 'pending'", {"keys": keys}
        )
        # The capture trigger refuses a fenced database, so it is passed by and its work done here.
        connection.exec_driver_sql(
            "INSERT INTO migration_reverse_log (key) SELECT unnest(%(keys)s::bigint[])", {"keys": keys}
        )
        append_many(
            connection,
            [
                NewEvent(USER_REGISTERED, row[0], {"user_id": row[0], "email": row[1], "name": row[2]})
                for row in activated
            ],
        )


def _enter(connection: Connection, epoch: int) -> None:
    connection.exec_driver_sql("SET LOCAL migration.applying = 'on'")
    row = lock_phase(connection)
    if (row.epoch, row.fenced) != (epoch, True):
        raise NotFenced()
