"""One account on both sides, column by column. Pure.

A legacy row is either in both databases, or rejected: noted in both and held by neither.
"""

from dataclasses import dataclass
from typing import Any

from migration.values import CredentialRow, Reject, TargetRow, UserRow

MISSING, EXTRA, CHANGED = "missing", "extra", "changed"
ROW, NOTE, STATUS = "(row)", "(reject)", "status"
_SECRET = ("password_hash", "salt")
_SHOWN_CHARACTERS = 120


@dataclass(frozen=True)
class Difference:
    """`database` differs from the file in `column` of `key`; `source` and `target` are for people, never a hash."""

    key: int
    database: str
    column: str
    kind: str
    source: str | None = None
    target: str | None = None


@dataclass(frozen=True)
class Held:
    """What one database holds of a key: the half row, whether it is visible, and the note of a reject."""

    row: UserRow | CredentialRow | None
    active: bool
    note: Reject | None


def differences(key: int, source: TargetRow | Reject | None, user: Held, auth: Held) -> list[Difference]:
    """Everything in which the two databases differ from the legacy row, None when the file has no such row."""
    row = source if isinstance(source, TargetRow) else None
    reject = source if isinstance(source, Reject) else None
    return [
        *_row(key, "user_db", row.user if row else None, user),
        *_note(key, "user_db", reject, user.note),
        *_row(key, "auth_db", row.credential if row else None, auth),
        *_note(key, "auth_db", reject, auth.note),
    ]


def _row(key: int, database: str, wanted: UserRow | CredentialRow | None, held: Held) -> list[Difference]:
    if wanted is None:
        return [] if held.row is None else [Difference(key, database, ROW, EXTRA)]
    if held.row is None:
        return [Difference(key, database, ROW, MISSING)]
    found = [
        Difference(key, database, column, CHANGED, _shown(column, mine), _shown(column, theirs))
        for column, mine, theirs in zip(wanted._fields, wanted, held.row, strict=True)
        if mine != theirs
    ]
    if not held.active:
        found.append(Difference(key, database, STATUS, CHANGED, "active", "pending"))
    return found


def _note(key: int, database: str, wanted: Reject | None, held: Reject | None) -> list[Difference]:
    if wanted == held:
        return []
    kind = MISSING if held is None else EXTRA if wanted is None else CHANGED
    return [Difference(key, database, NOTE, kind, _reason(wanted), _reason(held))]


def _reason(reject: Reject | None) -> str | None:
    return None if reject is None else f"{reject.column}: {reject.reason}"


def _shown(column: str, value: Any) -> str | None:
    if value is None:
        return None
    if column in _SECRET:
        return "(not shown)"
    text = str(value)
    return (
        text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}... ({len(text)} characters)"
    )
