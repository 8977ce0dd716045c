"""Ending sessions: what every way of doing it has in common. All functions work in the caller's transaction."""

import time

from sqlalchemy import Connection

from auth_app.domain import PresentedToken, moment
from auth_app.repository import revocations, sessions
from auth_app.repository.revocations import RevokedToken, Row
from service_kit.errors import Forbidden
from service_kit.revocation import Cutoff
from service_kit.tokens import issued_ms_of

PASSWORD_CHANGED = "password_changed"  # noqa: S105, a reason
LOGOUT = "logout"
LOGOUT_ALL = "logout_all"
REVOKED_BY_USER = "revoked_by_user"


class TokenRevoked(Forbidden):
    """The presented token was revoked while its request was under way."""

    default_message = "Invalid or expired token"
    bare = True


def now_ms() -> int:
    """The clock that cut-offs and tokens share, in epoch ms."""
    return time.time_ns() // 1_000_000


def is_dead(connection: Connection, user_id: int, token_id: str, issued_ms: int | None) -> bool:
    """Whether the token is revoked. The caller holds `lock_user`, so the answer stands until its commit.

    `issued_ms` None: unknown (a legacy token); a cut-off is then not held against it.
    """
    if revocations.is_token_revoked(connection, token_id):
        return True
    cutoff = revocations.cutoff_of(connection, user_id)
    return cutoff is not None and issued_ms is not None and cutoff.covers(token_id, issued_ms)


def end_session(connection: Connection, user_id: int, session_id: str, reason: str) -> list[Row]:
    """End a session with all of its tokens; answers what Redis has to be told, also when it had ended before."""
    tokens = [
        RevokedToken(token.token_id, token.expires_at) for token in sessions.tokens_of(connection, session_id)
    ]
    revocations.revoke(connection, user_id, tokens)
    sessions.revoke(connection, [session_id], reason)
    return list(tokens)


def end_token(connection: Connection, token: PresentedToken, reason: str) -> list[Row]:
    """End the presented token, and its session when it is recorded."""
    row = RevokedToken(token.token_id, moment(token.expires_at * 1000))
    revocations.revoke(connection, token.user_id, [row])
    session_id = sessions.of_token(connection, token.user_id, token.token_id)
    rest = end_session(connection, token.user_id, session_id, reason) if session_id else []
    return [row, *rest]


def end_all(connection: Connection, token: PresentedToken) -> list[Row]:
    """End every session of the user, listed or not."""
    live = sessions.live_of(connection, token.user_id, limit=None)
    issued = [stored.issued_ms for session in live for stored in session.tokens]
    # Another host's clock may be ahead of this one's: what is listed ends, whatever its time of issue says.
    return _cut_off(connection, token.user_id, Cutoff(max(now_ms(), token.issued_ms, *issued)), LOGOUT_ALL)


def end_others(connection: Connection, token: PresentedToken, at_ms: int) -> list[Row]:
    """End every session of the user but the presented token's, and that too when it has been revoked meanwhile.

    `at_ms`: when the password changed.
    """
    dead = is_dead(connection, token.user_id, token.token_id, token.issued_ms)
    kept = () if dead else kept_with(connection, token.user_id, token.token_id)
    return _cut_off(connection, token.user_id, Cutoff(at_ms, kept), PASSWORD_CHANGED)


def end_others_later(connection: Connection, user_id: int, kept_token: str | None, at_ms: int) -> list[Row]:
    """What `end_others` does, for a change of a while ago: a cut-off of since then stays as it is."""
    kept = kept_with(connection, user_id, kept_token) if kept_token else ()
    return _cut_off(connection, user_id, Cutoff(at_ms, kept), PASSWORD_CHANGED, exact=True)


def kept_with(connection: Connection, user_id: int, token_id: str) -> tuple[str, ...]:
    """This token and the others of its session."""
    session_id = sessions.of_token(connection, user_id, token_id)
    stored = sessions.tokens_of(connection, session_id) if session_id else []
    return (token_id, *(token.token_id for token in stored if token.token_id != token_id))


def _cut_off(
    connection: Connection, user_id: int, wanted: Cutoff, reason: str, *, exact: bool = False
) -> list[Row]:
    """Raise the cut-off, and mark the listed sessions that it ends. Unless `exact`, it moves in any case."""
    present = revocations.cutoff_of(connection, user_id)
    if present is not None and not exact:
        wanted = Cutoff(max(wanted.cutoff_ms, present.cutoff_ms + 1), wanted.kept)
    row = revocations.raise_cutoff(connection, user_id, wanted)
    live = sessions.live_of(connection, user_id, limit=None)
    sessions.revoke(connection, [session.id for session in live if session.is_cut_off(row.cutoff)], reason)
    return [row]


def issue_time(token_id: str, issued_at: int | None) -> int | None:
    """Epoch ms of a token's issue, from its id or else from its `iat` (seconds); None when neither says."""
    exact = issued_ms_of(token_id)
    if exact is not None or issued_at is None:
        return exact
    return issued_at * 1000
