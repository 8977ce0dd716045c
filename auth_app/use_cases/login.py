"""Logging in: the same answer, after the same work, for an unknown user and for a wrong password."""

import logging
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, Engine

from auth_app.domain import Account, Client
from auth_app.metrics import Metrics
from auth_app.passwords import PasswordHasher
from auth_app.repository import credentials, legacy_users, records
from auth_app.use_cases.sessions import Sessions
from service_kit.db import transaction
from service_kit.errors import Unauthenticated, Unavailable
from service_kit.events import catalog, store
from service_kit.truth.router import Truth

log = logging.getLogger(__name__)

_NOBODY = -(2**63)
"""Asked for in place of an unknown user's id, so that both cost the same queries."""


class InvalidCredentials(Unauthenticated):
    """The email is unknown, or the password is wrong: the answer does not tell which."""

    default_message = "Invalid credentials"
    bare = True


@dataclass(frozen=True)
class KnownUser:
    """What the user service answers to a lookup."""

    user_id: int
    email: str
    name: str | None


class UserDirectory(Protocol):
    """The user service, as far as a login needs it."""

    def by_email(self, email: str) -> KnownUser | None:
        """The active user with this email. Raises service_kit.errors.Unavailable."""


class Login:
    """Checks passwords and opens sessions."""

    def __init__(
        self,
        engine: Engine,
        truth: Truth,
        users: UserDirectory,
        hasher: PasswordHasher,
        sessions: Sessions,
        metrics: Metrics,
    ) -> None:
        self._engine = engine
        self._truth = truth
        self._users = users
        self._hasher = hasher
        self._sessions = sessions
        self._metrics = metrics

    def log_in(self, email: str, password: str, client: Client) -> tuple[str, Account]:
        """(token, account) for the normalised `email`; InvalidCredentials otherwise."""
        account = self._find(email)
        matches = self._hasher.matches(password, account.password_hash if account else None)
        if account is None or not matches:
            raise self._refused(account, email, client)
        issued = self._sessions.sign(account.user_id, account.email)
        # The token has its time of issue. A password change that is committed by now shows here; a later one has
        # a later cut-off, which covers the token.
        if not self._still_holds(account):
            raise self._refused(account, email, client)
        self._sessions.record_login(issued.claims, client)
        self._metrics.logins.labels("success").inc()
        return issued.text, account

    def _find(self, email: str) -> Account | None:
        """The account on the side that is the truth; in PostgreSQL the user service knows whose email it is."""
        in_file = self._truth.read(lambda c: (legacy_users.account_by_email(c, email),), lambda _: None)
        if in_file is not None:
            return in_file[0]
        user = self._users.by_email(email)

        def in_database(connection: Connection) -> Account | None:
            stored = credentials.password_hash(connection, user.user_id if user else _NOBODY)
            if user is None or stored is None:
                return None
            return Account(user.user_id, user.email, user.name, stored[0])

        return self._truth.read(lambda c: legacy_users.account_by_email(c, email), in_database)

    def _still_holds(self, account: Account) -> bool:
        stored = self._truth.read(
            lambda c: legacy_users.password_hash(c, account.user_id),
            lambda c: credentials.password_hash(c, account.user_id, hold=True),
        )
        return stored is not None and stored[0] == account.password_hash

    def _refused(self, account: Account | None, email: str, client: Client) -> InvalidCredentials:
        """Records the failure, as far as auth_db takes it, and answers what to raise."""
        user_id = account.user_id if account else None
        reason = "wrong_password" if account else "unknown_user"
        data = {"user_id": user_id, "email": email, "ip": client.ip, "reason": reason}
        self._metrics.logins.labels("failed").inc()
        try:
            with transaction(self._engine) as connection:
                store.append(connection, catalog.AUTH_LOGIN_FAILED, user_id, data)
                records.audit(connection, "login_failed", user_id, client, email=email, reason=reason)
        except Unavailable:
            log.warning("a failed login was not recorded: auth_db is away")
            self._metrics.unrecorded.labels("failed_login").inc()
        return InvalidCredentials()
