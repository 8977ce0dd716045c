"""sessions and session_tokens: logins that this service has recorded."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from auth_app.domain import Client, Session, StoredToken, epoch_ms, moment
from service_kit.ids import uuid7
from service_kit.tokens import Claims

MAX_LISTED = 200


def insert(connection: Connection, claims: Claims, client: Client) -> str:
    """Record a new session that begins with this token; answers its id."""
    session_id = str(uuid7(claims.issued_ms))
    connection.exec_driver_sql(
        "INSERT INTO sessions (id, user_id, created_at, expires_at, last_seen_at, user_agent, ip)"
        " VALUES (%(id)s, %(user)s, %(at)s, %(until)s, %(at)s, %(agent)s, %(ip)s)",
        {
            "id": session_id,
            "user": claims.user_id,
            "at": moment(claims.issued_ms),
            "until": moment(claims.expires_at * 1000),
            "agent": client.user_agent,
            "ip": client.ip,
        },
    )
    add_token(connection, session_id, claims.token_id, claims.issued_ms, claims.expires_at)
    return session_id


def add_token(
    connection: Connection, session_id: str, token_id: str, issued_ms: int, expires_at: int
) -> None:
    """Add a token to a session. Times: epoch ms, epoch seconds."""
    connection.exec_driver_sql(
        "INSERT INTO session_tokens (token_id, session_id, issued_at, expires_at) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (token_id) DO NOTHING",
        (token_id, session_id, moment(issued_ms), moment(expires_at * 1000)),
    )


def extend(connection: Connection, session_id: str, expires_at: int) -> None:
    """Note that the session was seen and lives until `expires_at` (epoch seconds) at least."""
    connection.exec_driver_sql(
        "UPDATE sessions SET expires_at = greatest(expires_at, %s), last_seen_at = now() WHERE id = %s",
        (moment(expires_at * 1000), session_id),
    )


def touch(connection: Connection, session_id: str) -> None:
    """Note that the session was seen."""
    connection.exec_driver_sql("UPDATE sessions SET last_seen_at = now() WHERE id = %s", (session_id,))


def of_token(connection: Connection, user_id: int, token_id: str) -> str | None:
    """The id of the user's session that this token belongs to, revoked or not."""
    session_id: str | None = connection.exec_driver_sql(
        "SELECT CAST(id AS TEXT) FROM sessions JOIN session_tokens ON session_id = id"
        " WHERE token_id = %s AND user_id = %s",
        (token_id, user_id),
    ).scalar_one_or_none()
    return session_id


def belongs(connection: Connection, user_id: int, session_id: str) -> bool:
    """Whether the session exists, has not expired and is this user's; it may be revoked."""
    statement = "SELECT 1 FROM sessions WHERE id = %s AND user_id = %s AND expires_at > now()"
    return connection.exec_driver_sql(statement, (session_id, user_id)).one_or_none() is not None


def revoke(connection: Connection, session_ids: Iterable[str], reason: str) -> None:
    """Mark sessions as ended."""
    connection.exec_driver_sql(
        "UPDATE sessions SET revoked_at = now(), revoked_reason = %s"
        " WHERE id = ANY(%s::uuid[]) AND revoked_at IS NULL",
        (reason, list(session_ids)),
    )


def tokens_of(connection: Connection, session_id: str) -> list[StoredToken]:
    """The tokens of a session that have not expired."""
    rows = connection.exec_driver_sql(
        "SELECT token_id, issued_at, expires_at FROM session_tokens"
        " WHERE session_id = %s AND expires_at > now()",
        (session_id,),
    )
    return [_token(*row) for row in rows]


def live_of(connection: Connection, user_id: int, limit: int | None = MAX_LISTED) -> list[Session]:
    """The user's sessions that have not expired or been ended, newest first; cut-offs are not looked at."""
    sessions = connection.exec_driver_sql(
        "SELECT CAST(id AS TEXT), created_at, expires_at, last_seen_at, user_agent, ip FROM sessions"
        " WHERE user_id = %s AND expires_at > now() AND revoked_at IS NULL"
        " ORDER BY created_at DESC, id DESC LIMIT %s",
        (user_id, limit),
    ).all()
    rows = connection.exec_driver_sql(
        "SELECT CAST(session_id AS TEXT), token_id, issued_at, expires_at FROM session_tokens"
        " WHERE session_id = ANY(%s::uuid[]) AND expires_at > now()",
        ([session[0] for session in sessions],),
    )
    tokens: dict[str, list[StoredToken]] = {}
    for session_id, *token in rows:
        tokens.setdefault(session_id, []).append(_token(*token))
    return [_session(row, tokens.get(row[0], [])) for row in sessions]


def _session(row: Sequence[Any], tokens: list[StoredToken]) -> Session:
    session_id, created_at, expires_at, last_seen_at, user_agent, ip = row
    return Session(session_id, created_at, expires_at, last_seen_at, user_agent, ip, tuple(tokens))


def _token(token_id: str, issued_at: datetime, expires_at: datetime) -> StoredToken:
    return StoredToken(token_id, epoch_ms(issued_at), expires_at)
