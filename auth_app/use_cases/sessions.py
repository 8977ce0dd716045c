"""Opening, continuing, listing and ending sessions."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Connection, Engine

from auth_app.domain import Client, PresentedToken, Session
from auth_app.metrics import Metrics
from auth_app.publisher import RevocationPublisher
from auth_app.repository import records, revocations, sessions
from auth_app.repository.revocations import Row
from auth_app.use_cases import revocation
from service_kit.db import transaction
from service_kit.errors import NotFound, Unavailable
from service_kit.events import catalog, store
from service_kit.tokens import MAX_LIFETIME_SECONDS, Claims, IssuedToken, TokenKeys
from service_kit.truth.router import Truth

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ContinuedToken:
    """The token that a new one follows in its session. `issued_at`: epoch seconds, None when not known."""

    token_id: str
    issued_at: int | None


class Sessions:
    """Sessions of all users. `lifetime` of a token is in seconds."""

    def __init__(
        self,
        engine: Engine,
        truth: Truth,
        keys: TokenKeys,
        publisher: RevocationPublisher,
        metrics: Metrics,
        lifetime: int,
    ) -> None:
        self._engine = engine
        self._truth = truth
        self._keys = keys
        self._publisher = publisher
        self._metrics = metrics
        self._lifetime = lifetime

    def sign(self, user_id: int, email: str) -> IssuedToken:
        """A new token, which no session knows of yet."""
        return self._keys.sign(user_id, email, self._lifetime)

    def record_login(self, claims: Claims, client: Client) -> None:
        """Record the session that begins with this token, with the event that tells of it."""

        def work(connection: Connection) -> None:
            session_id = sessions.insert(connection, claims, client)
            data = {
                "user_id": claims.user_id,
                "ip": client.ip,
                "user_agent": client.user_agent,
                "session_id": session_id,
            }
            store.append(connection, catalog.AUTH_LOGIN_SUCCESS, claims.user_id, data)
            records.audit(connection, "login", claims.user_id, client, session_id=session_id)

        self._record(work)

    def open(self, user_id: int, email: str, client: Client, after: ContinuedToken | None = None) -> str:
        """A token for a user whom another service vouches for: of a new session, or of that of `after`."""
        issued = self.sign(user_id, email)

        def work(connection: Connection) -> list[Row]:
            if after is not None:
                return self._continue(connection, issued.claims, client, after)
            session_id = sessions.insert(connection, issued.claims, client)
            records.audit(connection, "session_opened", user_id, client, session_id=session_id)
            return []

        self._publisher.try_publish(self._record(work) or [])
        return issued.text

    def live(self, token: PresentedToken, client: Client) -> tuple[list[Session], str | None]:
        """The user's live sessions, newest first, and the id of the presented one (None: it was just ended).

        A token that no session knows, one of the legacy server's for instance, becomes a session of its own.
        """
        with transaction(self._engine) as connection:
            revocations.lock_user(connection, token.user_id)
            current = sessions.of_token(connection, token.user_id, token.token_id)
            if current is not None:
                sessions.touch(connection, current)
            elif not revocation.is_dead(connection, token.user_id, token.token_id, token.issued_ms):
                current = sessions.insert(connection, _claims_of(token), client)
            cutoff = revocations.cutoff_of(connection, token.user_id)
            live = sessions.live_of(connection, token.user_id)
        return [session for session in live if not session.is_cut_off(cutoff)], current

    def log_out(self, token: PresentedToken, client: Client) -> None:
        """End the presented token's session."""
        self._end(token, client, "session", lambda c: revocation.end_token(c, token, revocation.LOGOUT))

    def log_out_everywhere(self, token: PresentedToken, client: Client) -> None:
        """End every session of the user, listed or not, legacy tokens included."""
        self._end(token, client, "all", lambda c: revocation.end_all(c, token))

    def revoke(self, token: PresentedToken, client: Client, session_id: str) -> None:
        """End one session of the user's; NotFound when it is not theirs. Again is the same as once."""

        def work(connection: Connection) -> list[Row]:
            if not _is_uuid(session_id) or not sessions.belongs(connection, token.user_id, session_id):
                raise NotFound("Session not found")
            reason = revocation.REVOKED_BY_USER
            return revocation.end_session(connection, token.user_id, session_id, reason)

        self._end(token, client, "session", work, session_id=session_id)

    def _end(
        self,
        token: PresentedToken,
        client: Client,
        scope: str,
        work: Callable[[Connection], list[Row]],
        **detail: str,
    ) -> None:
        with transaction(self._engine) as connection:
            revocations.lock_user(connection, token.user_id)
            rows = work(connection)
            data = {"user_id": token.user_id, "scope": scope, **detail}
            store.append(connection, catalog.AUTH_LOGOUT, token.user_id, data)
            records.audit(connection, "logout", token.user_id, client, scope=scope, **detail)
        self._publisher.publish(rows)

    def _continue(
        self, connection: Connection, claims: Claims, client: Client, after: ContinuedToken
    ) -> list[Row]:
        """Add a token to the session of another; born revoked when that one was revoked meanwhile."""
        user_id = claims.user_id
        revocations.lock_user(connection, user_id)
        issued_ms = revocation.issue_time(after.token_id, after.issued_at)
        dead = revocation.is_dead(connection, user_id, after.token_id, issued_ms)
        session_id = sessions.of_token(connection, user_id, after.token_id)
        if session_id is None:
            session_id = sessions.insert(connection, claims, client)
            since = claims.issued_ms if issued_ms is None else issued_ms
            # When it expires is not told here: the latest moment there is, without the session living longer.
            until = since // 1000 + MAX_LIFETIME_SECONDS
            sessions.add_token(connection, session_id, after.token_id, since, until)
        else:
            sessions.add_token(connection, session_id, claims.token_id, claims.issued_ms, claims.expires_at)
            sessions.extend(connection, session_id, claims.expires_at)
        return revocation.end_session(connection, user_id, session_id, revocation.LOGOUT) if dead else []

    def _record(self, work: Callable[[Connection], T]) -> T | None:
        """Run `work` in a transaction; while the file is the truth, go without when auth_db is away."""
        try:
            with transaction(self._engine) as connection:
                return work(connection)
        except Unavailable:
            if not self._truth.read(lambda _: True, lambda _: False):
                raise
        log.warning("a session was not recorded: auth_db is away and the legacy file holds the truth")
        self._metrics.unrecorded.labels("session").inc()
        return None


def _claims_of(token: PresentedToken) -> Claims:
    return Claims(
        token.user_id, token.email, token.issued_at, token.expires_at, token.token_id, token.issued_ms
    )


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
