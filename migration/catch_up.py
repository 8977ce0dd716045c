"""Bring one or both databases to the end of the file's log, batch by batch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from sqlalchemy import Engine

from migration.answer import ERROR, Issue
from migration.apply import Applied, Outcome, apply_batch
from migration.batch import BATCH_ENTRIES, Batch, Blocked, read_batch
from migration.raw_file import RawFile
from migration.sides import AUTH, USER, Side
from service_kit.steps import step
from service_kit.truth.phase import read_phase

_TRIES = 6
_CLASH = Issue(
    "email_held",
    ERROR,
    "A changed email is held in user_db by a row that the file does not have in that form.",
    "flask migration verify --repair finds the row and mends it.",
)


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
) -> Progress:
    """Apply the log to all `targets` until its end, or at most `batches` batches.

    `cursors` are what the caller knows of them, in the past at worst; without them they are read.

    Raises:
        Blocked: the file or a database has to be mended first.
    """
    progress = Progress(cursors=dict(cursors) if cursors else read_cursors(targets))
    tries, limit = 0, BATCH_ENTRIES
    while tries < _TRIES and (batches is None or progress.batches < batches):
        batch = _read(file, progress, limit)
        if batch is None:
            progress.reached = Reached.NOT_FORWARD
            return progress
        outcome = _apply_to_all(targets, batch, progress, lock_ms, statement_ms)
        if outcome in (Outcome.DROPPED, Outcome.BUSY):
            progress.reached = Reached.MOVED_ON if outcome is Outcome.DROPPED else Reached.BUSY
            return progress
        if outcome is Outcome.APPLIED:
            tries, limit = 0, BATCH_ENTRIES
            if batch.upto == batch.last_seq:
                progress.reached = Reached.END
                return progress
        else:
            tries += 1
            progress.cursors = read_cursors(targets)
            limit = limit * 8 if outcome is Outcome.CLASH else limit
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


def _read(file: RawFile, progress: Progress, limit: int) -> Batch | None:
    with file.snapshot() as connection:
        batch = read_batch(connection, list(progress.cursors.values()), limit)
    step("apply.read")
    return batch


def _apply_to_all(
    targets: Targets, batch: Batch, progress: Progress, lock_ms: int, statement_ms: int
) -> Outcome:
    for side, engine in targets.items():
        applied = apply_batch(engine, side, batch, lock_ms=lock_ms, statement_ms=statement_ms)
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
