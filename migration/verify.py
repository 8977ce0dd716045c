"""Verification from its beginning to the phase `verified`. Each function may be killed and called again."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Engine

from migration import indexes, suspects
from migration import plan as plans
from migration.answer import refused
from migration.compare import Difference
from migration.copy import bring_to
from migration.history import DONE, STARTED, actor, record
from migration.plan import VERIFY, Plan
from migration.repair import repair
from migration.session import Session
from migration.snapshot import folder, remove_others
from migration.source import is_there, live_or_snapshot
from migration.stamp import move_phase
from service_kit.steps import step
from service_kit.truth.legacy_file import COPIED, VERIFIED

ALL_KEYS = (-(2**63), 2**63 - 1)
MOST_DIFFERENCES = 10_000
"""A pass that finds more stops looking: something is wrong that no list of rows would tell."""


@dataclass(frozen=True)
class Verdict:
    """What a finished pass has found. `clean`: every row on both sides is the same, and the phase is `verified`."""

    clean: bool
    rows: int
    rejected: int
    compared_again: int
    differences: int
    keys: int


def begin(session: Session) -> Plan:
    """The running verification, or a new one over the file as it is now.

    Raises:
        Refused: it is not its turn, or a copy is running.
        Blocked: capture is not whole.
    """
    state = session.file.state()
    if state.phase not in (COPIED, VERIFIED):
        raise refused("not_its_turn", f"The phase is {state.phase}: there is no whole copy to verify.")
    plan = plans.running(session.migration)
    if plan is not None and plan.kind != VERIFY:
        raise refused("plan_running", "A copy is running.", "Wait for it.", "flask migration copy")
    if plan is not None:
        if plan.epoch == state.epoch and is_there(session, plan):
            return plan
        plans.end(session.migration, plan.id, plans.VOID, "the file or the snapshot it was made from is gone")
    indexes.restore(session.user)
    plan_id = plans.new_id(VERIFY)
    remove_others(folder(session.settings), keep=set())
    snapshot = live_or_snapshot(session, plan_id)
    bring_to(session, snapshot.seq)
    plan = plans.insert(session.migration, plan_id, VERIFY, snapshot, ALL_KEYS, actor())
    step("verify.started")
    record(session.migration, VERIFY, STARTED, session.file.state(), plan=plan_id, rows=snapshot.rows)
    return plan


def finish(session: Session, plan: Plan) -> bool:
    """Behind the last chunk: judge the suspects, record what differs, and move the phase to `verified` or `copied`.

    False when somebody else is finishing.

    Raises:
        Refused: the file moved on, or the log cannot be applied; see `suspects.judge`.
    """
    with plans.finishing(session.migration) as mine:
        if not mine:
            return False
        found = _judge_all(session, plan)
        if not found:
            step("verify.before_stamp")
        problem = move_phase(
            session.file, plan.epoch, *(((COPIED,), VERIFIED) if not found else ((VERIFIED,), COPIED))
        )
        if problem is not None:
            plans.end(session.migration, plan.id, plans.VOID, problem)
            raise refused(
                "moved_on", f"The verification was not recorded: {problem}.", "", "flask migration status"
            )
        note = "clean" if not found else f"{found} differences"
        plans.end(session.migration, plan.id, plans.DONE, note)
        record(
            session.migration,
            VERIFY,
            DONE,
            session.file.state(),
            plan=plan.id,
            rows=plan.rows,
            differences=found,
        )
    with suppress(OSError):
        remove_others(folder(session.settings), keep=set())
    return True


def verdict(engine: Engine, plan: Plan) -> Verdict:
    """What a finished pass has found."""
    with engine.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT (SELECT coalesce(sum(rows), 0) FROM chunks WHERE plan_id = %(plan)s),"
            " (SELECT coalesce(sum(rejected), 0) FROM chunks WHERE plan_id = %(plan)s),"
            " (SELECT coalesce(sum(differences), 0) FROM chunks WHERE plan_id = %(plan)s),"
            " count(*), count(DISTINCT key) FROM differences WHERE plan_id = %(plan)s",
            {"plan": plan.id},
        ).one()
    rows, rejected, again, found, keys = (int(value) for value in row)
    return Verdict(found == 0, rows, rejected, again, found, keys)


def listed(engine: Engine, plan_id: str, limit: int) -> list[Difference]:
    """The first differences of a pass, by key."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT key, database, column_name, kind, source, target FROM differences WHERE plan_id = %s"
            " ORDER BY key, database DESC, column_name LIMIT %s",
            (plan_id, limit),
        ).all()
    return [Difference(*row) for row in rows]


def mend(session: Session, plan: Plan) -> int:
    """Repair every row in which the pass has found a difference; returns how many. A clean pass is owed after it."""
    with session.migration.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT DISTINCT key FROM differences WHERE plan_id = %s AND repaired_at IS NULL ORDER BY key",
            (plan.id,),
        )
        keys = [row[0] for row in found]
    count = repair(session, keys)
    with session.migration.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE differences SET repaired_at = now() WHERE plan_id = %s AND key = ANY(%s)", (plan.id, keys)
        )
    record(session.migration, "repair", DONE, session.file.state(), plan=plan.id, keys=count)
    return count


def _judge_all(session: Session, plan: Plan) -> int:
    """Judge the pass's suspects in portions, each recorded with what was found; returns all differences so far."""
    while True:
        keys, found = _open_suspects(session.migration, plan.id)
        if not keys or found >= MOST_DIFFERENCES:
            return found
        _record(session.migration, plan.id, keys, suspects.judge(session, keys))


def _open_suspects(engine: Engine, plan_id: str) -> tuple[list[int], int]:
    with engine.connect() as connection:
        keys = connection.exec_driver_sql(
            "SELECT key FROM suspects WHERE plan_id = %s ORDER BY key LIMIT %s", (plan_id, suspects.AT_ONCE)
        ).all()
        found = connection.exec_driver_sql("SELECT count(*) FROM differences WHERE plan_id = %s", (plan_id,))
        return [row[0] for row in keys], found.scalar_one()


def _record(engine: Engine, plan_id: str, keys: Sequence[int], found: Sequence[Difference]) -> None:
    with engine.begin() as connection:
        for one in found:
            connection.exec_driver_sql(
                "INSERT INTO differences (plan_id, key, database, column_name, kind, source, target)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                (plan_id, one.key, one.database, one.column, one.kind, one.source, one.target),
            )
        connection.exec_driver_sql(
            "DELETE FROM suspects WHERE plan_id = %s AND key = ANY(%s)", (plan_id, list(keys))
        )
