"""Rows that PostgreSQL cannot hold as they are: list them, try them again, accept to leave them behind.

Both databases note the same rejects; what is shown is their union, so that a crash between the two hides nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from migration.answer import refused
from migration.history import DONE, actor, record
from migration.repair import repair
from migration.session import Session

_SHOWN_BYTES = 60
_SELECT = "SELECT key, column_name, reason, raw, noted_at, accepted_at, accepted_by FROM migration_rejects ORDER BY key"


@dataclass(frozen=True)
class Rejected:
    """One row that stays behind. `raw`: the offending value's bytes; `accepted_at`: None while nobody accepted it."""

    key: int
    column: str
    reason: str
    raw: bytes | None
    noted_at: datetime
    accepted_at: datetime | None
    accepted_by: str | None

    @property
    def shown(self) -> str:
        """The value for people: its beginning, with what is not ASCII escaped; of a password only the length."""
        if self.raw is None:
            return "NULL"
        if self.column == "password":
            return f"({len(self.raw)} bytes, not shown)"
        more = "..." if len(self.raw) > _SHOWN_BYTES else ""
        return repr(self.raw[:_SHOWN_BYTES])[1:] + more


def listed(session: Session) -> list[Rejected]:
    """All rejects by key. One counts as accepted when both databases have it as accepted."""
    found: dict[int, Rejected] = {}
    for engine in session.targets.values():
        with engine.connect() as connection:
            for key, column, reason, raw, noted_at, accepted_at, accepted_by in connection.exec_driver_sql(
                _SELECT
            ):
                value = None if raw is None else bytes(raw)
                one = Rejected(key, column, reason, value, noted_at, accepted_at, accepted_by)
                other = found.get(one.key, one)
                found[one.key] = replace(one, accepted_at=one.accepted_at and other.accepted_at)
    return [found[key] for key in sorted(found)]


def retry(session: Session, keys: Sequence[int]) -> list[Rejected]:
    """Read the rows of `keys` (empty: of all rejects) again; returns those of them that are still rejected.

    Raises:
        Refused: a key is not rejected, or PostgreSQL is the truth.
    """
    wanted = _known(session, keys) if keys else [one.key for one in listed(session)]
    repair(session, wanted)
    left = [one for one in listed(session) if one.key in set(wanted)]
    record(session.migration, "rejects retry", DONE, session.file.state(), tried=len(wanted), left=len(left))
    return left


def accept(session: Session, keys: Sequence[int]) -> int:
    """Agree to leave these rows behind; returns how many had not been accepted before.

    Raises:
        Refused: a key is not rejected.
    """
    wanted = _known(session, keys)
    fresh = sum(one.accepted_at is None for one in listed(session) if one.key in set(wanted))
    who = actor()
    for engine in session.targets.values():
        with engine.begin() as connection:
            _accept(connection, wanted, who)
    record(session.migration, "rejects accept", DONE, session.file.state(), keys=wanted)
    return fresh


def _accept(connection: Connection, keys: Sequence[int], who: str) -> None:
    connection.exec_driver_sql(
        "UPDATE migration_rejects SET accepted_at = now(), accepted_by = %s"
        " WHERE key = ANY(%s) AND accepted_at IS NULL",
        (who, list(keys)),
    )


def _known(session: Session, keys: Sequence[int]) -> list[int]:
    known = {one.key for one in listed(session)}
    unknown = [key for key in keys if key not in known]
    if unknown:
        names = ", ".join(map(str, unknown[:20]))
        raise refused("not_rejected", f"Not among the rejects: {names}.", "", "flask migration rejects")
    return sorted(set(keys))
