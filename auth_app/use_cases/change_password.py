"""Changing the password: the presented token's session stays, every other session of the user ends."""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine

from auth_app.domain import Client, PresentedToken, moment
from auth_app.metrics import Metrics
from auth_app.passwords import PasswordHasher
from auth_app.publisher import RevocationPublisher
from auth_app.repository import credentials, legacy_users, records, revocations
from auth_app.repository.revocations import Row, UserCutoff
from auth_app.use_cases import revocation
from service_kit.db import transaction
from service_kit.errors import NotFound, Unauthenticated, Unavailable
from service_kit.events import catalog, store
from service_kit.revocation import Cutoff
from service_kit.truth.router import Truth

log = logging.getLogger(__name__)


class WrongPassword(Unauthenticated):
    """The current password is another."""

    default_message = "Current password is incorrect"
    bare = True


class UnknownUser(NotFound):
    """The token is good, but its user is gone."""

    default_message = "User not found"
    bare = True


class ChangePassword:
    """Changes passwords. `drain` brings the legacy file's log to PostgreSQL; what it raises is logged.

    `truth` must have no drain of its own: the moment of the change is taken right behind its commit, so that a
    session opened with the new password, while a drain takes its time, is a later one.
    """

    def __init__(
        self,
        engine: Engine,
        truth: Truth,
        hasher: PasswordHasher,
        publisher: RevocationPublisher,
        metrics: Metrics,
        drain: Callable[[], object] | None = None,
    ) -> None:
        self._engine = engine
        self._truth = truth
        self._hasher = hasher
        self._publisher = publisher
        self._metrics = metrics
        self._drain = drain

    def change(self, token: PresentedToken, current: str, new: str, client: Client) -> None:
        """Replace the password `current` by `new`.

        Raises:
            WrongPassword: it is not the current one, or no longer. UnknownUser. TokenRevoked.
        """
        stored = self._truth.read(
            lambda c: legacy_users.password_hash(c, token.user_id),
            lambda c: credentials.password_hash(c, token.user_id),
        )
        if stored is None:
            raise UnknownUser
        if not self._hasher.matches(current, stored[0]):
            raise WrongPassword
        new_hash = self._hasher.hash(new)
        done = self._truth.write(
            lambda c: self._in_file(c, token, stored[0], new_hash),
            lambda c: self._in_database(c, token, stored[0], new_hash, client),
        )
        self._publisher.try_publish(self._end_others(token, client) if done is None else done)
        if done is None:
            self._bring_to_postgresql()

    @staticmethod
    def _in_file(connection: sqlite3.Connection, token: PresentedToken, old: Any, new: str) -> None:
        if not legacy_users.replace_password_hash(connection, token.user_id, old, new):
            raise WrongPassword
        legacy_users.note_kept_token(connection, token.user_id, token.token_id)

    @staticmethod
    def _in_database(
        connection: Connection, token: PresentedToken, old: str, new: str, client: Client
    ) -> list[Row]:
        if not credentials.replace_password_hash(connection, token.user_id, old, new):
            raise WrongPassword
        revocations.lock_user(connection, token.user_id)
        if revocation.is_dead(connection, token.user_id, token.token_id, token.issued_ms):
            raise revocation.TokenRevoked
        at_ms = revocation.now_ms()
        rows = revocation.end_others(connection, token, at_ms)
        data = {"user_id": token.user_id, "kept_token": token.token_id}
        store.append(connection, catalog.USER_PASSWORD_CHANGED, token.user_id, data, moment(at_ms))
        records.audit(connection, "password_changed", token.user_id, client)
        return rows

    def _end_others(self, token: PresentedToken, client: Client) -> Sequence[Row]:
        """After a change in the file: what auth_db does not take now follows from the file's log later."""
        at_ms = revocation.now_ms()
        try:
            with transaction(self._engine) as connection:
                revocations.lock_user(connection, token.user_id)
                rows = revocation.end_others(connection, token, at_ms)
                records.audit(connection, "password_changed", token.user_id, client)
                return rows
        except Unavailable:
            log.warning(
                "sessions were not ended in auth_db, which is away; the event of the change will do it"
            )
            self._metrics.unrecorded.labels("password_change").inc()
            cutoff = Cutoff(at_ms, (token.token_id,))
            return [UserCutoff(token.user_id, cutoff, revocations.cutoff_expiry(cutoff))]

    def _bring_to_postgresql(self) -> None:
        if self._drain is None:
            return
        try:
            self._drain()
        except Exception:  # the file's log keeps the change
            log.warning("drain after a password change failed; the log keeps the change", exc_info=True)
