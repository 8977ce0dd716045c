"""Bring one or both databases to the end of the file's log, batch by batch."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum

from sqlalchemy import Engine

from migration.answer import ERROR, Issue
from migration.apply import Applied, HeadStart, Outcome, apply_batch
from migration.batch import BATCH_ENTRIES, Batch, Blocked, read_batch
from migration.raw_file import RawFile
from migration.sides import AUTH, USER, Side
from migration.values import TargetRow
from service_kit.steps import step
from service_kit.truth.phase import read_phase

_TRIES = 6
_CLASH = Issue(
    "email_held",
    ERROR,
    "A changed email is held in user_db by a row that the file has in another form, and it cannot be mended.",
    "Look at the log of the workers, then at that row.",
)
log = logging.getLogger(__name__)


class Reached(Enum):
    """Where a run ended."""

    END = "end"  # every database holds the file's state at the end of the log
    NOT_FORWARD = "not_forward"  # PostgreSQL is the truth, or nothing is captured
    MOVED_ON = "moved_on"  # a database is beyond the epoch of the file that was read
    BUSY = "busy"  # locks, or a fast writer, kept it from the end
    LIMIT = "limit"  # as many batches as were asked for


@dataclass
class Progress:
    """`reached`, the cursor of each database by its name, and counts over all batches."""

    reached: Reached = Reached.BUSY
    cursors: dict[str, int] = field(default_factory=dict)
    batches: int = 0
    entries: int = 0
    rows: int = 0


Targets = Mapping[Side, Engine]
"""The databases to bring forward, in this order."""


def catch_up(
    file: RawFile,
    targets: Targets,
    cursors: Mapping[str, int] | None = None,
    *,
    batches: int | None = None,
    lock_ms: int = 3000,
    statement_ms: int = 5000,
    start: HeadStart | None = None,
) -> Progress:
    """Apply the log to all `targets` until its end, or at most `batches` batches.

    `cursors` are what the caller knows of them, in the past at worst; without them they are read. `start`: of the only
    target, for the first batch.

    Raises:
        Blocked: the file or a database has to be mended first.
    """
    progress = Progress(cursors=dict(cursors) if cursors else read_cursors(targets))
    tries, limit = 0, BATCH_ENTRIES
    also: set[int] = set()
    while tries < _TRIES and (batches is None or progress.batches < batches):
        batch = _read(file, progress, limit, also)
        if batch is None:
            progress.reached = Reached.NOT_FORWARD
            return progress
        outcome = _apply_to_all(targets, batch, progress, lock_ms, statement_ms, start)
        start = None
        if outcome in (Outcome.DROPPED, Outcome.BUSY):
            progress.reached = Reached.MOVED_ON if outcome is Outcome.DROPPED else Reached.BUSY
            return progress
        if outcome is Outcome.APPLIED:
            tries, limit, also = 0, BATCH_ENTRIES, set()
            if batch.upto == batch.last_seq:
                progress.reached = Reached.END
                return progress
        else:
            tries += 1
            progress.cursors = read_cursors(targets)
            if outcome is Outcome.CLASH:
                limit *= 8
                also |= _holders(targets, batch)
            if tries == _TRIES and outcome is Outcome.CLASH:
                raise Blocked(_CLASH)
    progress.reached = Reached.LIMIT if tries < _TRIES else Reached.BUSY
    return progress


def read_cursors(targets: Targets) -> dict[str, int]:
    """The cursor of each database, by its name."""
    found = {}
    for side, engine in targets.items():
        with engine.connect() as connection:
            found[side.name] = read_phase(connection).cursor
    return found


def _read(file: RawFile, progress: Progress, limit: int, also: Collection[int]) -> Batch | None:
    with file.snapshot() as connection:
        batch = read_batch(connection, list(progress.cursors.values()), limit, also)
    step("apply.read")
    return batch


def _holders(targets: Targets, batch: Batch) -> set[int]:
    """Users who hold an email in `user_db` that the file gives to somebody else, and of whom no entry tells.

    Somebody changed them behind the appliers' back. They stand in the way of the log, and verify cannot find them
    before the log is applied: so they are brought to what the file holds, together with the batch.
    """
    engine = targets.get(USER)
    if engine is None or batch.upto < batch.last_seq:  # an entry behind the batch may free the email
        return set()
    wanted = {row.user.email: key for key, row in batch.rows.items() if isinstance(row, TargetRow)}
    with engine.connect() as connection:
        held = connection.exec_driver_sql(
            "SELECT id, email FROM users WHERE email = ANY(%s)", (list(wanted),)
        ).all()
    found = {key for key, email in held if wanted[email] != key} - set(batch.keys)
    if found:
        log.warning(
            "users %s held emails that are not theirs; they are brought to what the file holds", sorted(found)
        )
    return found


def _apply_to_all(
    targets: Targets,
    batch: Batch,
    progress: Progress,
    lock_ms: int,
    statement_ms: int,
    start: HeadStart | None,
) -> Outcome:
    for side, engine in targets.items():
        applied = apply_batch(engine, side, batch, lock_ms=lock_ms, statement_ms=statement_ms, start=start)
        if applied.outcome is not Outcome.APPLIED:
            return applied.outcome
        _count(progress, side, applied)
        if side is USER:
            step("apply.user_committed")
        elif side is AUTH:
            step("apply.auth_committed")
    progress.batches += 1
    progress.entries += len(batch.entries)
    return Outcome.APPLIED


def _count(progress: Progress, side: Side, applied: Applied) -> None:
    progress.cursors[side.name] = max(progress.cursors[side.name], applied.cursor)
    progress.rows += applied.written + applied.removed
