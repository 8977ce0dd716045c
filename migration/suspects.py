"""The second look at keys that differed in a pass: the live file beside the databases, until neither moves between.

A key is judged when the appliers have passed the file's state that it was read from, and neither database has a newer
version. A key that keeps changing is judged at last under the file's write lock, a few hundred keys at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from migration.answer import refused
from migration.batch import present_rows
from migration.capture import last_seq
from migration.catch_up import Reached, catch_up
from migration.compare import Difference, Held, differences
from migration.session import Session
from migration.sides import AUTH, USER, Side
from migration.values import CredentialRow, Reject, TargetRow, UserRow
from service_kit.truth.legacy_file import transaction

AT_ONCE = 500
_ROUNDS = 4
_CATCH_UP_TRIES = 20


@dataclass(frozen=True)
class _Seen:
    held: Held
    version: int


def judge(session: Session, keys: Sequence[int]) -> list[Difference]:
    """The differences of `keys` that are none of a change on its way. At most AT_ONCE keys at a time are held.

    Raises:
        Refused: the log cannot be applied.
        Blocked: capture is not whole.
    """
    found: list[Difference] = []
    for start in range(0, len(keys), AT_ONCE):
        found += _judge(session, keys[start : start + AT_ONCE])
    return found


def _judge(session: Session, keys: Sequence[int]) -> list[Difference]:
    found: list[Difference] = []
    left = list(keys)
    for _ in range(_ROUNDS):
        with session.file.snapshot() as connection:
            end, rows = last_seq(connection), present_rows(connection, left)
        left = _round(session, left, end, rows, found)
        if not left:
            return found
    locked = session.file.open()
    try:
        with transaction(locked, "BEGIN IMMEDIATE"):
            end, rows = last_seq(locked), present_rows(locked, left)
            left = _round(session, left, end, rows, found)
    finally:
        locked.close()
    if left:
        raise refused("not_caught_up", f"{len(left)} keys were changed while nobody could.", "Run it again.")
    return found


def _round(
    session: Session,
    keys: Sequence[int],
    end: int,
    rows: Mapping[int, TargetRow | Reject],
    found: list[Difference],
) -> list[int]:
    """Judge what can be judged; the keys that changed again are left."""
    _apply_up_to(session, end)
    user, auth = _look(session.user, USER, keys), _look(session.auth, AUTH, keys)
    left = []
    for key in keys:
        if max(user[key].version, auth[key].version) > end:
            left.append(key)
        else:
            found += differences(key, rows.get(key), user[key].held, auth[key].held)
    return left


def _apply_up_to(session: Session, end: int) -> None:
    for _ in range(_CATCH_UP_TRIES):
        progress = catch_up(session.file, session.targets)
        if min(progress.cursors.values(), default=0) >= end:
            return
        if progress.reached in (Reached.NOT_FORWARD, Reached.MOVED_ON):
            break
    raise refused("not_caught_up", "The log could not be applied to its end.", "Run it again.")


def _look(engine: Engine, side: Side, keys: Sequence[int]) -> dict[int, _Seen]:
    with (
        engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
        connection.begin(),
    ):
        known = side.read(connection, keys)
        notes = _notes(connection, keys)
        pending = _pending(connection, keys) if side is USER else set()
    seen = {}
    for key in keys:
        values = known[key].row
        row = None if values is None else (UserRow if side is USER else CredentialRow)(*values)
        seen[key] = _Seen(Held(row, key not in pending, notes.get(key)), known[key].seq or 0)
    return seen


def _notes(connection: Connection, keys: Sequence[int]) -> dict[int, Reject]:
    found = connection.exec_driver_sql(
        "SELECT key, column_name, reason, raw FROM migration_rejects WHERE key = ANY(%s)", (list(keys),)
    )
    return {
        row[0]: Reject(row[0], row[1], row[2], None if row[3] is None else bytes(row[3])) for row in found
    }


def _pending(connection: Connection, keys: Sequence[int]) -> set[int]:
    found = connection.exec_driver_sql(
        "SELECT id FROM users WHERE id = ANY(%s) AND status <> 'active'", (list(keys),)
    )
    return {row[0] for row in found}
