"""The bulk copy from its beginning to the phase `copied`. Each function may be killed and called again."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from sqlalchemy import Engine

from migration import copy_chunk, indexes
from migration import plan as plans
from migration.answer import refused
from migration.catch_up import Reached, catch_up
from migration.copy_chunk import ChunkText, NotCaughtUp
from migration.history import DONE, STARTED, actor, record
from migration.passes import ChunkResult
from migration.plan import COPY, Lease, Plan
from migration.session import Session
from migration.sides import AUTH, USER, Side
from migration.snapshot import folder, remove_others
from migration.source import is_there, live_or_snapshot, rows_of
from migration.stamp import move_phase
from service_kit.steps import step
from service_kit.truth.legacy_file import COPIED, DUAL_WRITE

_CATCH_UP_TRIES = 60


def begin(session: Session, *, again: bool = False) -> Plan | None:
    """The running copy, or a new one; None when a former copy stands and nothing is to be copied.

    Raises:
        Refused: it is not its turn, or a verification is running.
        Blocked: capture is not whole.
    """
    state = session.file.state()
    if state.phase != DUAL_WRITE:
        raise refused("not_its_turn", f"The phase is {state.phase}, a copy is made in {DUAL_WRITE}.")
    plan = plans.running(session.migration)
    if plan is not None and plan.kind != COPY:
        raise refused(
            "plan_running", "A verification is running.", "Wait for it.", "flask migration status --watch"
        )
    if plan is not None and _is_usable(session, plan, state.epoch):
        return plan
    if plan is not None:
        plans.end(session.migration, plan.id, plans.VOID, "the file or the snapshot it was made from is gone")
    if not again and former_stands(session):
        return None
    return _plan(session)


def former_stands(session: Session) -> bool:
    """Whether an earlier copy of this file is still what the databases were filled from.

    After a rollback, or a repair of capture, the log (and verify) tell what changed since; a new copy would only
    write the same rows again. A database that was made anew has none of its done marks.
    """
    former = plans.latest(session.migration, COPY, session.file.state().file_id or "")
    return former is not None and not _lost_chunks(session, former) and indexes.present(session.user)


def _is_usable(session: Session, plan: Plan, epoch: int) -> bool:
    return plan.epoch == epoch and is_there(session, plan)


def _plan(session: Session) -> Plan:
    plan_id = plans.new_id(COPY)
    remove_others(folder(session.settings), keep=set())
    snapshot = live_or_snapshot(session, plan_id)
    bring_to(session, snapshot.seq)
    indexes.drop(session.user)
    keys = (snapshot.first_key, snapshot.last_key) if snapshot.rows else (1, 0)
    plan = plans.insert(session.migration, plan_id, COPY, snapshot, keys, actor())
    step("copy.planned")
    record(session.migration, COPY, STARTED, session.file.state(), plan=plan_id, rows=snapshot.rows)
    return plan


def bring_to(session: Session, seq: int) -> None:
    """Apply the log at least up to this number: chunks may not run ahead of it.

    Raises:
        Refused: the appliers do not get there.
    """
    for _ in range(_CATCH_UP_TRIES):
        progress = catch_up(session.file, session.targets)
        if progress.cursors and min(progress.cursors.values()) >= seq:
            return
        if progress.reached in (Reached.NOT_FORWARD, Reached.MOVED_ON):
            break
    raise refused("not_caught_up", "The changes before the copy could not be applied.", "Run it again.")


def run(session: Session, held: Lease) -> ChunkResult:
    """The work of one chunk: into `user_db`, then into `auth_db`. See `copy_chunk` for what it raises."""
    plan, chunk = held.plan, held.chunk
    with (
        rows_of(session, plan) as source,
        copy_chunk.read(source, plan, chunk) as text,
    ):
        step("chunk.read")
        _write(session, USER, held, text)
        step("chunk.user_committed")
        _write(session, AUTH, held, text)
        step("chunk.auth_committed")
        return ChunkResult(text.rows, len(text.rejects))


def _write(session: Session, side: Side, held: Lease, text: ChunkText) -> None:
    try:
        copy_chunk.write(session.targets[side], side, held.plan, held.chunk, text)
    except NotCaughtUp:  # rows were written while the chunk was read
        bring_to(session, text.read_to)
        copy_chunk.write(session.targets[side], side, held.plan, held.chunk, text)


def finish(session: Session, plan: Plan) -> bool:
    """Behind the last chunk: look that both databases have every one, restore the email index, and stamp the phase.

    False when chunks have to be done again, or somebody else is finishing.

    Raises:
        Refused: the file moved on; the plan is void.
    """
    with plans.finishing(session.migration) as mine:
        if not mine:
            return False
        lost = _lost_chunks(session, plan)
        if lost:
            plans.reopen(session.migration, plan.id, sorted(lost))
            return False
        with ThreadPoolExecutor(1) as pool:
            analyzed = pool.submit(_analyze, session.auth, AUTH.table)
            indexes.restore(session.user)
            _analyze(session.user, USER.table)
            analyzed.result()
        step("copy.finished")
        stamp_copied(session, plan)
        plans.end(session.migration, plan.id, plans.DONE)
        record(session.migration, COPY, DONE, session.file.state(), plan=plan.id, rows=plan.rows)
    with suppress(OSError):
        remove_others(folder(session.settings), keep=set())
    return True


def stamp_copied(session: Session, plan: Plan | None) -> None:
    """The phase becomes `copied`.

    Raises:
        Refused: the file moved on; `plan`, if there is one, is void.
    """
    epoch = session.file.state().epoch if plan is None else plan.epoch
    problem = move_phase(session.file, epoch, (DUAL_WRITE,), COPIED)
    if problem is None:
        return
    if plan is not None:
        plans.end(session.migration, plan.id, plans.VOID, problem)
    raise refused("moved_on", f"The copy was not recorded: {problem}.", "", "flask migration status")


def _lost_chunks(session: Session, plan: Plan) -> set[int]:
    """Chunks that a database does not have, whatever migration_db says."""
    with session.migration.connect() as connection:
        found = connection.exec_driver_sql("SELECT chunk FROM chunks WHERE plan_id = %s", (plan.id,))
        wanted = {row[0] for row in found}
    lost: set[int] = set()
    for engine in session.targets.values():
        with engine.connect() as connection:
            found = connection.exec_driver_sql(
                "SELECT chunk FROM migration_chunks WHERE plan_id = %s", (plan.id,)
            )
            lost |= wanted - {row[0] for row in found}
    return lost


def _analyze(engine: Engine, table: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ANALYZE {table}")
