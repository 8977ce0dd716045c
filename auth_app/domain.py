"""What accounts, clients, sessions and cut-offs are, and the rules that need no store. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from service_kit.revocation import Cutoff
from service_kit.tokens import issued_ms_of


@dataclass(frozen=True)
class Account:
    """Who logs in. `password_hash` and `name` are what is stored: in a legacy file, values of any type."""

    user_id: int
    email: str
    name: Any
    password_hash: Any


@dataclass(frozen=True)
class Client:
    """Where a request comes from, as the gateway saw it."""

    ip: str
    user_agent: str


@dataclass(frozen=True)
class PresentedToken:
    """The token that came with a request. Times in epoch seconds."""

    user_id: int
    email: str
    token_id: str
    issued_at: int
    expires_at: int

    @property
    def issued_ms(self) -> int:
        """What a cut-off is compared with, in ms: exact in our tokens, the second's begin in legacy ones."""
        exact = issued_ms_of(self.token_id)
        return self.issued_at * 1000 if exact is None else exact


@dataclass(frozen=True)
class StoredToken:
    """A token of a recorded session."""

    token_id: str
    issued_ms: int
    expires_at: datetime


@dataclass(frozen=True)
class Session:
    """A login that is still good for something, with its tokens."""

    id: str
    created_at: datetime
    expires_at: datetime
    last_seen_at: datetime
    user_agent: str
    ip: str
    tokens: tuple[StoredToken, ...]

    def is_cut_off(self, cutoff: Cutoff | None) -> bool:
        """Whether the user's cut-off covers every token of it."""
        if cutoff is None:
            return False
        return all(cutoff.covers(token.token_id, token.issued_ms) for token in self.tokens)


def advance(present: Cutoff | None, wanted: Cutoff) -> Cutoff:
    """The cut-off that follows: never earlier than `present`, and what `present` revoked does not come back.

    A token whose time of issue cannot be told from its id (a legacy one) stays kept when `wanted` keeps it.
    """
    if present is None:
        return wanted
    if wanted.cutoff_ms <= present.cutoff_ms:
        return present
    return Cutoff(wanted.cutoff_ms, tuple(_not_revoked(wanted.kept, present)))


def _not_revoked(token_ids: Iterable[str], present: Cutoff) -> Iterable[str]:
    for token_id in token_ids:
        issued_ms = issued_ms_of(token_id)
        if issued_ms is None or not present.covers(token_id, issued_ms):
            yield token_id


def moment(epoch_ms: int) -> datetime:
    """A point in time from epoch milliseconds."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)


def epoch_ms(value: datetime) -> int:
    """The milliseconds since the epoch, rounded down."""
    return int(value.timestamp() * 1000 + 1e-6)
