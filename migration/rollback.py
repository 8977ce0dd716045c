"""Rollback: the legacy file becomes the truth again, with every write that PostgreSQL took (docs/protocol.md).

Both databases are fenced, the rest of their changes goes into the file, and one commit of the file decides. Whatever
goes wrong between the fence and that commit is undone under a newer epoch, never by opening a fence in place.
"""

import sqlite3
import time
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from migration.answer import Issue, Refused, refused
from migration.budget import Budget, OverBudget
from migration.capture import commit_durably, lower_fence, renew_capture
from migration.cutover import over_budget
from migration.file_lock import write_lock
from migration.file_rows import write_accounts
from migration.follow_up import follow_all, phase_rows
from migration.reverse import apply_reverse, forget
from migration.reverse_log import LegacyRow, ReverseView, reverse_view
from migration.sequences import last_value, raise_counter
from migration.session import Session, impatient, warm_up
from migration.settle import NotFenced, pending, settle_pending
from migration.sides import USER, Side
from migration.undo import abandon_rollback
from service_kit.steps import step
from service_kit.truth.legacy_file import CUTOVER, DUAL_WRITE, read_state
from service_kit.truth.phase import fence, lock_phase

_PREPARE_SECONDS = 15.0
_FEW_ENTRIES = 200  # what the last drain, under the fence, may have to write
_Rows = list[tuple[int, LegacyRow | None]]


@dataclass
class RolledBack:
    """`epoch` of the file now, how long clients waited (ms), what was settled and written under the fence."""

    epoch: int
    paused_ms: float
    settled: int
    entries: int
    issues: list[Issue] = field(default_factory=list)


@dataclass(frozen=True)
class _Rest:
    """What the file still lacks: the reverse entries, their rows, and the highest id that was given."""

    view: ReverseView
    rows: _Rows
    last_id: int


def prepare_rollback(session: Session) -> None:
    """Apply the reverse logs until next to nothing is left for the time in which clients wait."""
    deadline = time.monotonic() + _PREPARE_SECONDS
    while time.monotonic() < deadline:
        done = apply_reverse(session)
        if done.entries <= _FEW_ENTRIES:
            return
    raise refused(
        "writers_too_fast",
        f"The file did not come up with PostgreSQL within {_PREPARE_SECONDS:.0f} s.",
        "Wait for a quieter time.",
        "flask migration status --watch",
    )


def roll_back(session: Session, epoch: int, budget_ms: int) -> RolledBack:
    """Move the truth from PostgreSQL, at `epoch`, back to the file.

    Raises:
        Refused: somebody else moved on, the budget was spent, or a store failed; PostgreSQL is the truth as before.
    """
    step("rollback.started")
    try:
        with impatient(session, budget_ms / 1000) as quick:
            warm_up(quick)
            done, view = _roll_back(quick, epoch, Budget(budget_ms))
    except KeyboardInterrupt:
        abandon_rollback(session, epoch)
        raise
    except (Refused, OverBudget, NotFenced, sqlite3.Error, SQLAlchemyError) as error:
        raise _refusal(error, abandon_rollback(session, epoch)) from error
    step("rollback.committed")
    done.issues = follow_all(session, done.epoch, _followed)
    if not done.issues:
        forget(session, view)
    return done


def _roll_back(session: Session, epoch: int, budget: Budget) -> tuple[RolledBack, ReverseView]:
    budget.within(lambda _: _fence(session, epoch))
    settled = budget.within(lambda _: settle_pending(session.user, session.auth, epoch))
    step("rollback.settled")
    connection = session.file.open()
    try:
        commit_durably(connection)
        with write_lock(connection, budget.remaining_ms() / 1000):
            state = read_state(connection)
            if state.epoch != epoch or state.phase != CUTOVER:
                raise refused("moved_on", f"The file is at epoch {state.epoch} ({state.phase}) now.")
            rest = budget.within(lambda _: _read_rest(session, epoch))
            step("rollback.locked")
            write_accounts(connection, rest.rows)
            raise_counter(connection, rest.last_id)
            lower_fence(connection)
            renew_capture(connection)
            connection.execute("UPDATE migration_state SET epoch = ?, phase = ?", (epoch + 1, DUAL_WRITE))
            step("rollback.before_commit")
            connection.execute(f"PRAGMA busy_timeout = {budget.remaining_ms()}")
    finally:
        connection.close()
    return RolledBack(epoch + 1, round(budget.spent_ms, 1), settled, len(rest.view)), rest.view


def _fence(session: Session, epoch: int) -> None:
    for side, engine in session.targets.items():
        row = fence(engine, epoch)
        if (row.epoch, row.fenced) != (epoch, True):
            raise NotFenced()
        if side is USER:
            step("rollback.user_fenced")
        else:
            step("rollback.auth_fenced")


def _read_rest(session: Session, epoch: int) -> _Rest:
    """With the file's write lock held: both fences stand, nothing is pending, and all that was written."""
    for row in phase_rows(session).values():
        if (row.epoch, row.fenced) != (epoch, True):
            raise NotFenced()
    if pending(session.user):
        raise refused("pending", "A registration is not settled.", "Run the command again.")
    with reverse_view(session.user, session.auth) as view:
        rows = list(view.accounts())
    with session.user.connect() as connection:
        return _Rest(view, rows, last_value(connection))


def _refusal(error: Exception, issues: list[Issue]) -> Refused:
    if isinstance(error, Refused):
        refusal = error
    elif isinstance(error, OverBudget):
        refusal = over_budget(str(error))
    elif isinstance(error, NotFenced):
        refusal = refused(
            "moved_on", "Somebody else moved the databases on.", "flask migration status shows where."
        )
    else:
        refusal = refused(
            "store_failed",
            f"A store did not do its part in time ({type(error).__name__}); PostgreSQL stays the truth.",
            "Look at the servers' logs, then run the command again.",
        )
    refusal.issues.extend(issues)
    return refusal


def _followed(side: Side) -> None:
    if side is USER:
        step("rollback.user_followed")
    else:
        step("rollback.auth_followed")


def complete_rollback(session: Session, epoch: int) -> list[Issue]:
    """What a rollback still had to do after its commit at `epoch`, an even one: follow, and delete the entries.

    All of them: once a database stands at an even epoch nothing is logged, and the file has what was.
    """
    issues = follow_all(session, epoch)
    if not issues:
        for engine in session.targets.values():
            with engine.begin() as connection:
                row = lock_phase(connection)
                if row.epoch == epoch and not row.fenced:
                    connection.exec_driver_sql("DELETE FROM migration_reverse_log")
    return issues
