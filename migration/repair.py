"""Bring given keys of both databases to what the legacy file holds, by the appliers' rule: never over a newer version.

It is for rows that no log entry tells of: damage found by verify, rejects whose rows were mended out of sight of the
triggers. It makes no events, since nothing changed for anybody. In each database it is one transaction over all keys:
emails may have been swapped among them, and a row that was taken away in a transaction of its own, by a process that
then stood still or died, would be missing behind everybody's back, after another pass had found all well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from migration.answer import refused
from migration.apply import APPLY_LOCK
from migration.batch import Blocked, present_rows
from migration.capture import look
from migration.marks import note_rejects, note_versions
from migration.ranges import lock_keys
from migration.session import Session
from migration.sides import USER, Side
from migration.values import Reject, TargetRow
from service_kit.steps import step
from service_kit.truth.phase import follow, lock_phase

_TRIES = 5


@dataclass(frozen=True)
class _Truth:
    epoch: int
    seq: int
    keys: Sequence[int]
    rows: Mapping[int, TargetRow | Reject]


def repair(session: Session, keys: Sequence[int]) -> int:
    """Make both databases hold of `keys` what the file holds; returns how many keys were looked at.

    Raises:
        Refused: the file is not the truth, or moved on.
        Blocked: capture is not whole.
    """
    truth = _read(session, keys)
    step("repair.read")
    for side, engine in session.targets.items():
        _write(engine, side, truth)
        if side is USER:
            step("repair.user_committed")
        else:
            step("repair.auth_committed")
    return len(keys)


def _read(session: Session, keys: Sequence[int]) -> _Truth:
    with session.file.snapshot() as connection:
        seen = look(connection)
        if not seen.state.file_is_truth:
            raise refused("not_its_turn", f"The phase is {seen.state.phase}: PostgreSQL is the truth.")
        if not seen.captured:
            raise Blocked(*seen.issues)
        return _Truth(seen.state.epoch, seen.last_seq, keys, present_rows(connection, keys))


def _write(engine: Engine, side: Side, truth: _Truth) -> None:
    for _ in range(_TRIES):
        with engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL migration.applying = 'on'")
            row = lock_phase(connection)
            if (row.epoch, row.fenced) > (truth.epoch, False):
                raise refused("moved_on", f"{side.name} is at epoch {row.epoch}, beyond what was read.")
            if row.epoch == truth.epoch:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({APPLY_LOCK})")
                lock_keys(connection, truth.keys)
                _mend(connection, side, truth)
                return
        follow(engine, truth.epoch)
    raise refused("moved_on", f"{side.name} does not follow to epoch {truth.epoch}.", "Run it again.")


def _mend(connection: Connection, side: Side, truth: _Truth) -> None:
    known = side.read(connection, truth.keys)
    keys = [key for key in truth.keys if (known[key].seq or 0) <= truth.seq]
    rows = {key: truth.rows[key] for key in keys if key in truth.rows}
    connection.exec_driver_sql("SET CONSTRAINTS ALL DEFERRED")
    side.remove(connection, keys)
    halves = {key: side.half(row) for key, row in rows.items() if isinstance(row, TargetRow)}
    side.write(connection, list(halves.values()))
    note_versions(connection, keys, set(keys) - set(halves), truth.seq)
    note_rejects(connection, keys, [row for row in rows.values() if isinstance(row, Reject)], truth.seq)
