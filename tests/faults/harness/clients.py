"""Requests to the services: each is noted before it begins, when its effect is known, and when it was answered."""

import random
import sqlite3
import time
from collections.abc import Callable

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from auth_app.repository import credentials, legacy_users
from service_kit.errors import AppError, Unavailable
from service_kit.events import catalog, store
from service_kit.identity import Identity
from tests.faults.harness.journal import Journal
from tests.faults.harness.judge import ANY, ANYWHERE
from tests.faults.harness.legacy import email
from tests.faults.harness.services import Services
from user_app.domain import Client, ProfileChange

CLIENT = Client("127.0.0.1", "faults")
Effects = Callable[[list[list[object]]], object]
Request = Callable[[Services, Effects, str, random.Random], None]


class Refused(Exception):
    """There is no such user: nothing was changed."""


def request_for(
    services: Services, journal: Journal, role: str, rng: random.Random, seconds: float, pause: float
) -> None:
    """Send requests for so long, one after the other."""
    deadline = time.monotonic() + seconds
    number = 0
    while time.monotonic() < deadline:
        number += 1
        _send(services, journal, f"{role}/{number}", rng.choice(REQUESTS), rng)
        time.sleep(rng.random() * pause)


def _send(services: Services, journal: Journal, op: str, request: Request, rng: random.Random) -> None:
    journal.note("begin", op=op, form=request.__name__)
    try:
        request(services, lambda rows: journal.note("effects", op=op, rows=rows), op, rng)
    except Unavailable as error:
        journal.note("unknown", op=op, error=str(error)[:90])
    except (Refused, AppError, IntegrityError) as error:
        journal.note("refused", op=op, error=f"{type(error).__name__}: {error}"[:90])
    else:
        journal.note("ack", op=op)


def _some_key(rng: random.Random) -> int:
    return rng.randint(1, 70)


def register(services: Services, effects: Effects, op: str, rng: random.Random) -> None:
    """POST /api/register. The id is known when the credential is stored, or from the answer."""
    address, password = email(rng.randrange(99)), f"hash {op}"

    def whole(user_id: int | str) -> list[list[object]]:
        return [[user_id, {"email": address, "password": password, "name": op, "created_at": ANY}]]

    effects(whole(ANYWHERE))
    services.accounts.before_credential = lambda user_id, _: effects(whole(user_id))
    user, _ = services.registration.register(address, password, op, CLIENT)
    effects(whole(user.id))


def change_name(services: Services, effects: Effects, op: str, rng: random.Random) -> None:
    """PUT /api/profile with a name."""
    key = _some_key(rng)
    effects([[key, {"name": op}]])
    services.profiles.update(_identity(key), ProfileChange(name=op), CLIENT)


def change_email(services: Services, effects: Effects, op: str, rng: random.Random) -> None:
    """PUT /api/profile with an email, which may be taken."""
    key, address = _some_key(rng), email(rng.randrange(99))
    effects([[key, {"email": address}]])
    services.profiles.update(_identity(key), ProfileChange(email=address), CLIENT)


def change_password(services: Services, effects: Effects, op: str, rng: random.Random) -> None:
    """PUT /api/change-password without the bcrypt: the kept token goes into the file's log, or an event to auth_db."""
    key, value = _some_key(rng), f"hash {op}"
    effects([[key, {"password": value}]])

    def on_file(file: sqlite3.Connection) -> None:
        found = legacy_users.password_hash(file, key)
        if found is None or not legacy_users.replace_password_hash(file, key, found[0], value):
            raise Refused(key)
        legacy_users.note_kept_token(file, key, op)

    def on_database(database: Connection) -> None:
        found = credentials.password_hash(database, key)
        if found is None or not credentials.replace_password_hash(database, key, found[0], value):
            raise Refused(key)
        data = {"user_id": key, "kept_token": op}
        store.append(database, catalog.USER_PASSWORD_CHANGED, key, data)

    services.auth.write(on_file, on_database)


def read_profile(services: Services, effects: Effects, op: str, rng: random.Random) -> None:
    """GET /api/profile."""
    services.profiles.get(_some_key(rng))


def _identity(key: int) -> Identity:
    return Identity(key, "", "token", 0, 0)


REQUESTS: tuple[Request, ...] = (
    register, register, change_name, change_name, change_email, change_password, change_password, read_profile,
)  # fmt: skip
