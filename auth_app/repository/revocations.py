"""revocations (single tokens) and user_cutoffs (all tokens of a user up to a moment).

Rows are published to Redis by `auth_app.mirror`; `published` says that Redis has taken a row once.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from auth_app.domain import advance, moment
from service_kit.revocation import Cutoff
from service_kit.tokens import MAX_LIFETIME_SECONDS

BATCH = 1000


@dataclass(frozen=True)
class RevokedToken:
    """A single revocation, needed until `expires_at`."""

    token_id: str
    expires_at: datetime


@dataclass(frozen=True)
class UserCutoff:
    """A user's cut-off, needed until `expires_at`: no token of before lives longer."""

    user_id: int
    cutoff: Cutoff
    expires_at: datetime


Row = RevokedToken | UserCutoff


def lock_user(connection: Connection, user_id: int) -> None:
    """Until the transaction's end nobody else revokes this user's tokens or continues a session of theirs."""
    connection.exec_driver_sql(
        "SELECT pg_advisory_xact_lock(hashtextextended('auth.revocation', %s))", (user_id,)
    )


def revoke(connection: Connection, user_id: int, tokens: Sequence[RevokedToken]) -> None:
    """Revoke single tokens."""
    if not tokens:
        return
    connection.exec_driver_sql(
        "INSERT INTO revocations (token_id, user_id, expires_at)"
        " SELECT token_id, %s, expires_at"
        " FROM unnest(%s::text[], %s::timestamptz[]) AS new (token_id, expires_at)"
        " ON CONFLICT (token_id) DO NOTHING",
        (user_id, [token.token_id for token in tokens], [token.expires_at for token in tokens]),
    )


def is_token_revoked(connection: Connection, token_id: str) -> bool:
    """Whether there is a single revocation of the token."""
    statement = "SELECT 1 FROM revocations WHERE token_id = %s"
    return connection.exec_driver_sql(statement, (token_id,)).one_or_none() is not None


def cutoff_of(connection: Connection, user_id: int) -> Cutoff | None:
    """The user's cut-off."""
    row = connection.exec_driver_sql(
        "SELECT cutoff_ms, kept FROM user_cutoffs WHERE user_id = %s", (user_id,)
    ).one_or_none()
    return None if row is None else Cutoff(row[0], tuple(row[1]))


def raise_cutoff(connection: Connection, user_id: int, wanted: Cutoff) -> UserCutoff:
    """Move the user's cut-off to `wanted`, as far as `domain.advance` lets it; answers what holds now.

    The caller holds `lock_user`.
    """
    present = cutoff_of(connection, user_id)
    cutoff = advance(present, wanted)
    row = UserCutoff(user_id, cutoff, cutoff_expiry(cutoff))
    if cutoff != present:
        connection.exec_driver_sql(
            "INSERT INTO user_cutoffs (user_id, cutoff_ms, kept, expires_at) VALUES (%s, %s, %s::text[], %s)"
            " ON CONFLICT (user_id) DO UPDATE SET cutoff_ms = EXCLUDED.cutoff_ms, kept = EXCLUDED.kept,"
            " expires_at = EXCLUDED.expires_at, published = false",
            (user_id, cutoff.cutoff_ms, list(cutoff.kept), row.expires_at),
        )
    return row


def cutoff_expiry(cutoff: Cutoff) -> datetime:
    """When no token that it covers can be valid any more."""
    return moment(cutoff.cutoff_ms) + timedelta(seconds=MAX_LIFETIME_SECONDS)


def unpublished(connection: Connection) -> list[Row]:
    """Rows that Redis may not have taken yet, at most BATCH of each kind."""
    tokens = connection.exec_driver_sql(
        "SELECT token_id, expires_at FROM revocations WHERE NOT published LIMIT %s", (BATCH,)
    )
    cutoffs = connection.exec_driver_sql(
        "SELECT user_id, cutoff_ms, kept, expires_at FROM user_cutoffs WHERE NOT published LIMIT %s", (BATCH,)
    )
    return [RevokedToken(*row) for row in tokens] + [_cutoff(*row) for row in cutoffs]


def mark_published(connection: Connection, rows: Iterable[Row]) -> None:
    """Note that Redis has taken these rows; a cut-off that has moved on since stays unpublished."""
    rows = list(rows)
    tokens = [row.token_id for row in rows if isinstance(row, RevokedToken)]
    cutoffs = [(row.user_id, row.cutoff.cutoff_ms) for row in rows if isinstance(row, UserCutoff)]
    if tokens:
        connection.exec_driver_sql(
            "UPDATE revocations SET published = true WHERE token_id = ANY(%s::text[])", (tokens,)
        )
    if cutoffs:
        users, moments = (list(column) for column in zip(*cutoffs, strict=True))
        connection.exec_driver_sql(
            "UPDATE user_cutoffs AS held SET published = true"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS taken (user_id, cutoff_ms)"
            " WHERE held.user_id = taken.user_id AND held.cutoff_ms = taken.cutoff_ms",
            (users, moments),
        )


def live(connection: Connection) -> Iterator[list[Row]]:
    """Every revocation that still matters, in batches; the caller's transaction makes them one snapshot."""
    after: str = ""
    while batch := _live_tokens(connection, after):
        yield list(batch)
        after = batch[-1].token_id
    last_user: int | None = None
    while cutoffs := _live_cutoffs(connection, last_user):
        yield list(cutoffs)
        last_user = cutoffs[-1].user_id


def _live_tokens(connection: Connection, after: str) -> list[RevokedToken]:
    rows = connection.exec_driver_sql(
        "SELECT token_id, expires_at FROM revocations WHERE token_id > %s AND expires_at > now()"
        " ORDER BY token_id LIMIT %s",
        (after, BATCH),
    )
    return [RevokedToken(*row) for row in rows]


def _live_cutoffs(connection: Connection, after: int | None) -> list[UserCutoff]:
    rows = connection.exec_driver_sql(
        "SELECT user_id, cutoff_ms, kept, expires_at FROM user_cutoffs"
        " WHERE (%(after)s::bigint IS NULL OR user_id > %(after)s) AND expires_at > now()"
        " ORDER BY user_id LIMIT %(limit)s",
        {"after": after, "limit": BATCH},
    )
    return [_cutoff(*row) for row in rows]


def _cutoff(user_id: int, cutoff_ms: int, kept: list[str], expires_at: datetime) -> UserCutoff:
    return UserCutoff(user_id, Cutoff(cutoff_ms, tuple(kept)), expires_at)
