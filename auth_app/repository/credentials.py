"""user_credentials and credentials_given_up."""

from sqlalchemy import Connection

from auth_app.passwords import salt_of


def password_hash(connection: Connection, user_id: int, *, hold: bool = False) -> tuple[str] | None:
    """(stored hash,), or None without a credential.

    With `hold`, waits for a change that is being made, and lets none begin until the transaction ends.
    """
    statement = "SELECT password_hash FROM user_credentials WHERE user_id = %s"
    row = connection.exec_driver_sql(statement + (" FOR SHARE" if hold else ""), (user_id,)).one_or_none()
    return None if row is None else (row[0],)


def exists(connection: Connection, user_id: int) -> bool:
    """Whether the user has a credential."""
    return password_hash(connection, user_id) is not None


def replace_password_hash(connection: Connection, user_id: int, old: str, new: str) -> bool:
    """Set the hash to `new` where it is still `old`; False when it is not. Locks the row."""
    done = connection.exec_driver_sql(
        "UPDATE user_credentials SET password_hash = %(new)s, salt = %(salt)s, updated_at = now()"
        " WHERE user_id = %(user)s AND password_hash = %(old)s",
        {"new": new, "salt": salt_of(new), "user": user_id, "old": old},
    )
    return done.rowcount == 1


def insert(connection: Connection, user_id: int, stored: str) -> bool:
    """Add a credential; False when there is one, which stays as it is."""
    done = connection.exec_driver_sql(
        "INSERT INTO user_credentials (user_id, password_hash, salt) VALUES (%s, %s, %s)"
        " ON CONFLICT (user_id) DO NOTHING",
        (user_id, stored, salt_of(stored)),
    )
    return done.rowcount == 1


def lock_registration(connection: Connection, user_id: int) -> None:
    """One at a time stores or gives up the credential of `user_id`, until the transaction's end."""
    connection.exec_driver_sql(
        "SELECT pg_advisory_xact_lock(hashtextextended('auth.registration', %s))", (user_id,)
    )


def give_up(connection: Connection, user_id: int) -> None:
    """Mark that no credential may follow for `user_id`."""
    connection.exec_driver_sql(
        "INSERT INTO credentials_given_up (user_id) VALUES (%s) ON CONFLICT (user_id) DO NOTHING", (user_id,)
    )


def is_given_up(connection: Connection, user_id: int) -> bool:
    """Whether `user_id` has that mark."""
    statement = "SELECT 1 FROM credentials_given_up WHERE user_id = %s"
    return connection.exec_driver_sql(statement, (user_id,)).one_or_none() is not None
