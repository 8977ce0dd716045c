"""Cutover: PostgreSQL becomes the truth. One commit of the legacy file decides (docs/protocol.md, "Cutover").

The log is drained down to a few entries first, then the rest under the file's write lock, so that writers wait for
milliseconds. Whatever goes wrong before the commit is rolled back in the file and has changed nothing.
"""

import sqlite3
import time
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from migration.answer import ERROR, Issue, Refused, refused
from migration.apply import Outcome, apply_batch
from migration.batch import Batch, Blocked, read_batch
from migration.budget import Budget, OverBudget
from migration.capture import commit_durably, highest_id, look, raise_fence
from migration.catch_up import Reached, catch_up, read_cursors
from migration.file_lock import write_lock
from migration.follow_up import follow_all, phase_rows
from migration.rejects_open import open_rejects
from migration.sequences import raise_sequence
from migration.session import Session, impatient, warm_up
from migration.sides import AUTH, USER, Side
from service_kit.steps import step
from service_kit.truth.legacy_file import CUTOVER, VERIFIED, FileState
from service_kit.truth.phase import PHASE_LOCK, read_phase

_PREPARE_SECONDS = 15.0
_ROUNDS_UNDER_LOCK = 3.0  # of a measured round: the last drain itself, the fence, and the commit on disk


@dataclass(frozen=True)
class Prepared:
    """The log is drained but for what came since. `round_ms`: how long the last drain took, both databases."""

    round_ms: float
    entries: int

    @property
    def estimate_ms(self) -> float:
        """How long writers are going to wait."""
        return self.round_ms * _ROUNDS_UNDER_LOCK


@dataclass
class Switched:
    """The file has committed: `epoch`, how long writers waited (ms), log entries drained under the lock."""

    epoch: int
    paused_ms: float
    entries: int
    highest_id: int
    issues: list[Issue] = field(default_factory=list)


def prepare(session: Session) -> Prepared:
    """Drain until a round finds next to nothing, and measure that round.

    Raises:
        Refused: rejects are open, capture is not whole, or writers are faster than the appliers.
    """
    refuse_open_rejects(session)
    deadline = time.monotonic() + _PREPARE_SECONDS
    try:
        while time.monotonic() < deadline:
            began = time.monotonic()
            progress = catch_up(session.file, session.targets)
            took = (time.monotonic() - began) * 1000
            if progress.reached is Reached.END and progress.batches == 1:
                return Prepared(took, progress.entries)
    except Blocked as blocked:
        raise Refused(*blocked.issues, next_steps=("flask migration doctor",)) from blocked
    raise refused(
        "writers_too_fast",
        f"The log was not drained within {_PREPARE_SECONDS:.0f} s: changes come faster than they are applied.",
        "Wait for a quieter time, or stop what writes so much.",
        "flask migration status --watch",
    )


def switch(session: Session, prepared: Prepared, budget_ms: int) -> Switched:
    """Move the truth to PostgreSQL.

    Raises:
        Refused: not verified, over the budget, or the last drain failed; nothing was changed.
    """
    if prepared.estimate_ms > budget_ms:
        raise over_budget(
            f"writers would wait about {prepared.estimate_ms:.0f} ms, the budget is {budget_ms} ms"
        )
    connection = session.file.open()
    try:
        commit_durably(connection)
        with impatient(session, budget_ms / 1000) as quick:
            warm_up(quick)
            switched = _switch(quick, connection, budget_ms)
    except OverBudget as spent:
        raise over_budget(str(spent)) from spent
    except sqlite3.OperationalError as error:
        raise refused(
            "file_busy", f"The legacy file could not be locked or committed in time: {error}."
        ) from error
    except Blocked as blocked:
        raise Refused(*blocked.issues) from blocked
    except SQLAlchemyError as error:
        raise refused(
            "last_drain_failed", f"A database did not take the last changes in time ({type(error).__name__})."
        ) from error
    finally:
        connection.close()
    step("cutover.committed")
    switched.issues = follow_all(session, switched.epoch, _followed)
    return switched


def over_budget(message: str) -> Refused:
    """The refusal to make clients wait longer than they may."""
    return refused(
        "over_budget",
        f"Clients would wait too long: {message}.",
        "Try again at a quieter time, or raise CUTOVER_BUDGET_MS.",
    )


def refuse_open_rejects(session: Session) -> None:
    """Raises Refused while rows are rejected that nobody accepted to leave behind."""
    count = open_rejects(session)
    if count:
        raise refused(
            "rejects_open",
            f"{count} rows cannot be held by PostgreSQL and would be left behind.",
            "Mend them in the file, or accept to leave them behind, one by one.",
            "flask migration rejects",
        )


def _switch(session: Session, connection: sqlite3.Connection, budget_ms: int) -> Switched:
    cursors = read_cursors(session.targets)
    with write_lock(connection):
        budget = Budget(budget_ms)
        state = _check(connection)
        step("cutover.locked")
        batch = _rest_of_log(connection, list(cursors.values()))
        used = highest_id(connection)
        budget.within(lambda left: _drain(session, USER, batch, left))
        highest = budget.within(lambda _: _continue_ids(session, state.epoch, used))
        step("cutover.user_drained")
        budget.within(lambda left: _drain(session, AUTH, batch, left))
        step("cutover.auth_drained")
        budget.within(lambda _: _check_databases(session))
        raise_fence(connection)
        connection.execute("UPDATE migration_state SET epoch = ?, phase = ?", (state.epoch + 1, CUTOVER))
        step("cutover.before_commit")
        connection.execute(f"PRAGMA busy_timeout = {budget.remaining_ms()}")
    return Switched(state.epoch + 1, round(budget.spent_ms, 1), len(batch.entries), highest)


def _check(connection: sqlite3.Connection) -> FileState:
    seen = look(connection)
    if not seen.state.file_is_truth or seen.state.phase != VERIFIED:
        raise refused("not_its_turn", f"The phase is {seen.state.phase} now, no longer {VERIFIED}.")
    return seen.state


def _rest_of_log(connection: sqlite3.Connection, cursors: list[int]) -> Batch:
    batch = read_batch(connection, cursors, limit=None)
    if batch is None:
        raise refused("not_its_turn", "The file is not captured.")
    return batch


def _drain(session: Session, side: Side, batch: Batch, left_ms: int) -> None:
    applied = apply_batch(session.targets[side], side, batch, lock_ms=left_ms, statement_ms=left_ms)
    if applied.outcome is not Outcome.APPLIED or applied.cursor != batch.last_seq:
        raise Blocked(
            Issue(
                "last_drain_failed",
                ERROR,
                f"{side.name} did not take the last changes ({applied.outcome.value}); nothing was changed.",
                "Run the command again. If it stays so, flask migration verify shows why.",
            )
        )


def _continue_ids(session: Session, epoch: int, highest: int) -> int:
    """Alone in the database and at this epoch only: given up for slowness and late, it would set the ids back."""
    with session.user.begin() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({PHASE_LOCK})")
        row = read_phase(connection)
        if (row.epoch, row.fenced) != (epoch, False):
            raise refused("moved_on", f"user_db is at epoch {row.epoch} now.")
        return raise_sequence(connection, highest)


def _check_databases(session: Session) -> None:
    """No row is left behind unaccepted, and the first write in PostgreSQL will be logged for the way back."""
    refuse_open_rejects(session)
    for name, row in phase_rows(session).items():
        if not row.capture:
            raise refused(
                "no_reverse_capture", f"{name} would not log its changes.", "flask migration dual-write"
            )


def _followed(side: Side) -> None:
    if side is USER:
        step("cutover.user_followed")
    else:
        step("cutover.auth_followed")
