"""Writes as the services make them: through service_kit.truth, on whichever store is the truth at that moment."""

import random
import sqlite3
import time
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from service_kit.errors import AppError, Unavailable
from service_kit.events import catalog, store
from service_kit.truth.router import Truth
from tests.faults.harness.journal import Journal
from tests.faults.harness.legacy import email


class Refused(Exception):
    """There is no such user, or the email is taken: nothing was changed."""


@dataclass(frozen=True)
class Services:
    """The two services' ways to their stores."""

    user: Truth
    auth: Truth


def write_for(
    services: Services, journal: Journal, role: str, rng: random.Random, seconds: float, pause: float
) -> None:
    """Send writes for so long, one after the other; each is noted before, within and after."""
    deadline = time.monotonic() + seconds
    number = 0
    while time.monotonic() < deadline:
        number += 1
        form = rng.choice((change_name, change_name, change_email, change_password, change_password, read_user))
        _request(services, journal, f"{role}/{number}", form, rng)
        time.sleep(rng.random() * pause)


def _request(services: Services, journal: Journal, op: str, form, rng: random.Random) -> None:
    journal.note("begin", op=op, form=form.__name__)
    try:
        form(services, journal, op, rng)
    except (Refused, sqlite3.IntegrityError, IntegrityError) as error:
        journal.note("refused", op=op, error=f"{type(error).__name__}: {error}"[:90])
    except Unavailable as error:
        journal.note("unknown", op=op, error=str(error)[:90])
    except AppError as error:
        journal.note("refused", op=op, error=str(error)[:90])
    else:
        journal.note("ack", op=op)


def _some_key(rng: random.Random) -> int:
    return rng.randint(1, 70)


def change_name(services: Services, journal: Journal, op: str, rng: random.Random) -> None:
    """PUT /api/profile with a name."""
    _change_profile(services, journal, op, _some_key(rng), "name", op)


def change_email(services: Services, journal: Journal, op: str, rng: random.Random) -> None:
    """PUT /api/profile with an email, which may be taken."""
    _change_profile(services, journal, op, _some_key(rng), "email", email(rng.randrange(99)))


def _change_profile(services: Services, journal: Journal, op: str, key: int, column: str, value: str) -> None:
    def on_file(file: sqlite3.Connection) -> None:
        if not file.execute(f"UPDATE users SET {column} = ? WHERE id = ?", (value, key)).rowcount:  # noqa: S608
            raise Refused(key)
        journal.note("effects", op=op, rows=[[key, {column: value}]], side="file")

    def on_database(database: Connection) -> None:
        found = database.exec_driver_sql(
            f"SELECT {column} FROM users WHERE id = %s AND status = 'active' FOR UPDATE", (key,)  # noqa: S608
        ).one_or_none()
        if found is None:
            raise Refused(key)
        database.exec_driver_sql(f"UPDATE users SET {column} = %s WHERE id = %s", (value, key))  # noqa: S608
        if found[0] != value:
            changes = {column: {"old": found[0], "new": value}}
            store.append(database, catalog.USER_PROFILE_UPDATED, key, {"user_id": key, "changes": changes})
        journal.note("effects", op=op, rows=[[key, {column: value}]], side="user_db")

    services.user.write(on_file, on_database)


def change_password(services: Services, journal: Journal, op: str, rng: random.Random) -> None:
    """PUT /api/change-password: the kept token goes into the file's log, or the event into auth_db."""
    key, value = _some_key(rng), f"hash {op}"

    def on_file(file: sqlite3.Connection) -> None:
        if not file.execute("UPDATE users SET password = ? WHERE id = ?", (value, key)).rowcount:
            raise Refused(key)
        if file.execute("SELECT 1 FROM sqlite_master WHERE name = 'migration_log'").fetchone():
            file.execute("INSERT INTO migration_log (key, kept_token) VALUES (?, ?)", (key, op))
        journal.note("effects", op=op, rows=[[key, {"password": value}]], side="file")

    def on_database(database: Connection) -> None:
        done = database.exec_driver_sql("UPDATE user_credentials SET password_hash = %s WHERE user_id = %s", (value, key))
        if not done.rowcount:
            raise Refused(key)
        store.append(database, catalog.USER_PASSWORD_CHANGED, key, {"user_id": key, "kept_token": op})
        journal.note("effects", op=op, rows=[[key, {"password": value}]], side="auth_db")

    services.auth.write(on_file, on_database)


def read_user(services: Services, journal: Journal, op: str, rng: random.Random) -> None:
    """GET /api/profile: what it answers is judged like a write's outcome, at the moment that it was asked."""
    key = _some_key(rng)
    found = services.user.read(
        lambda file: file.execute("SELECT email, name FROM users WHERE id = ?", (key,)).fetchone(),
        lambda database: database.exec_driver_sql(
            "SELECT email, name FROM users WHERE id = %s AND status = 'active'", (key,)
        ).one_or_none(),
    )
    journal.note("read", op=op, key=key, values=list(found) if found else None)
