"""Registration over two services: after any crash a user exists wholly or not at all.

While the legacy file is the truth, one insert there is the whole of it. In PostgreSQL (docs/protocol.md, registration)
the row is pending first, the credential in auth_db is the commit point, and the row becomes active last. Whoever finds
the other side in charge between two steps goes on there: with a credential the user exists, without one it starts
again.
"""

import sqlite3
import time

from sqlalchemy import Connection

from service_kit.errors import Unavailable
from service_kit.steps import step
from service_kit.truth.router import Truth
from user_app.domain import Client, User, UserExists
from user_app.repository import legacy_users, registrations, users
from user_app.repository.registrations import EmailHeld
from user_app.use_cases.accounts import Accounts
from user_app.use_cases.settling import GRACE_SECONDS, Settling, activate

_ATTEMPTS = 5
_PATIENCE_SECONDS = 2 * GRACE_SECONDS
_POLL_SECONDS = 0.02


class RegisteredWithoutSession(Unavailable):
    """The user exists; a login opens the session that could not be opened here."""

    code = "registered_without_session"
    default_message = "Registered, but no session could be opened; log in"


class Registration:
    """Registers users."""

    def __init__(self, truth: Truth, accounts: Accounts, settling: Settling) -> None:
        self._truth = truth
        self._accounts = accounts
        self._settling = settling

    def register(self, email: str, password: str, name: str | None, client: Client) -> tuple[User, str]:
        """A new user and a token. `email` is normalised.

        Raises:
            UserExists, Unavailable.
        """
        if self._truth.read(
            lambda file: legacy_users.by_email(file, email), lambda db: users.by_email(db, email)
        ):
            raise UserExists
        password_hash = self._accounts.hash_password(password)
        step("registration.hashed")
        for _ in range(_ATTEMPTS):
            user = self._attempt(email, password_hash, name)
            if user is not None:
                return user, self._open_session(user, client)
        raise Unavailable

    def _attempt(self, email: str, password_hash: str, name: str | None) -> User | None:
        """The new user; None when the registration was given up, by ourselves or by others, and may start again."""

        def in_file(connection: sqlite3.Connection) -> User | int:
            return legacy_users.add(connection, email, password_hash, name)

        def in_database(connection: Connection) -> User | int:
            return registrations.add_pending(connection, email, name)

        try:
            begun = self._truth.write(in_file, in_database)
        except EmailHeld:
            self._await_release(email)
            return None
        return begun if isinstance(begun, User) else self._complete(begun, password_hash)

    def _complete(self, user_id: int, password_hash: str) -> User | None:
        step("registration.pending")
        if not self._accounts.put_credential(user_id, password_hash):
            self._truth.write(lambda _: False, lambda connection: registrations.remove(connection, user_id))
            return None
        step("registration.credential_put")
        user = self._truth.write(
            lambda connection: legacy_users.by_id(connection, user_id),
            lambda connection: activate(connection, user_id) or users.by_id(connection, user_id),
        )
        step("registration.activated")
        return user

    def _await_release(self, email: str) -> None:
        """Returns when nobody holds the address any more; UserExists as soon as somebody has it for good."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            under_way = self._truth.read(
                lambda connection: _holder_in_file(connection, email),
                lambda connection: _holder_in_database(connection, email),
            )
            if under_way is None:
                return
            user_id, age = under_way
            if age > GRACE_SECONDS:
                self._settling.settle(user_id)
            else:
                time.sleep(_POLL_SECONDS)
        raise Unavailable

    def _open_session(self, user: User, client: Client) -> str:
        try:
            return self._accounts.open_session(user, client)
        except Unavailable as error:
            raise RegisteredWithoutSession(retry_after=error.retry_after) from error


def _holder_in_file(connection: sqlite3.Connection, email: str) -> None:
    if legacy_users.by_email(connection, email) is not None:
        raise UserExists


def _holder_in_database(connection: Connection, email: str) -> tuple[int, float] | None:
    """(id, age in seconds) of the registration that is under way for the address, None when there is none."""
    if users.by_email(connection, email) is not None:
        raise UserExists
    return registrations.pending_by_email(connection, email)
