"""A pass over the whole table: cut chunks, send them, see them through, whoever dies on the way.

`advance` is called by everybody who is awake (the command, each worker behind a chunk, beat every second). It sends
again what was lost and keeps a few chunks waiting for each worker, so that the next ones can follow the measured speed.
"""

import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from migration import plan as plans
from migration.copy_chunk import NotCaughtUp, Superseded
from migration.extract import border_key
from migration.plan import COPY, VERIFY, Chunk, Lease, Plan
from migration.session import Session
from migration.snapshot import SnapshotMissing
from migration.source import rows_of
from migration.task_queue import COPY_CHUNK, VERIFY_CHUNK, TaskQueue
from migration.throttle import Throttle

CHUNK_SECONDS = {COPY: 0.4, VERIFY: 1.0}
"""A chunk should take so long: a pause takes effect behind it, and appliers wait for a copied one."""
FIRST_ROWS, FEWEST_ROWS = {COPY: 10_000, VERIFY: 50_000}, 200
MOST_ROWS = {COPY: 50_000, VERIFY: 200_000}  # a copied chunk is in memory
_GROWTH = 4
RESEND_SECONDS = 10.0
RETRY_SECONDS = 1.0
_BACKLOG = 2  # chunks that wait for each active worker process
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChunkResult:
    """What a chunk has found: rows read, rejects among them, rows that differ (verification)."""

    rows: int
    rejected: int = 0
    differences: int = 0


def advance(session: Session, tasks: TaskQueue, throttle: Throttle, plan_id: str) -> str | None:
    """Send what can be sent now; the reason when bulk work has to wait."""
    reason = throttle.reason()
    if reason is not None:
        return reason
    with session.migration.begin() as connection:
        plan = plans.lock(connection, plan_id)
        if plan is None:
            return None
        chunks = plans.overdue(connection, plan_id, RESEND_SECONDS)
        chunks += _cut_more(session, connection, plan)
    for chunk in chunks:
        task = COPY_CHUNK if plan.kind == COPY else VERIFY_CHUNK
        tasks.send(task, plan=plan_id, chunk=chunk.number, keys=chunk.keys)
    return None


def is_complete(session: Session, plan_id: str) -> bool:
    """Whether every key of the plan was cut into a chunk and every chunk is done."""
    with session.migration.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT next_key IS NULL AND NOT EXISTS"
            " (SELECT FROM chunks WHERE plan_id = plans.id AND state <> 'done') FROM plans WHERE id = %s",
            (plan_id,),
        ).one_or_none()
    return bool(row and row[0])


def run_chunk(
    session: Session, throttle: Throttle, plan_id: str, number: int, work: Callable[[Lease], ChunkResult]
) -> str:
    """Lease the chunk, do `work`, record it. Says what became of it; only faults of ours raise."""
    if throttle.reason() is not None:
        plans.put_back(session.migration, plan_id, number)
        return "held"
    held = plans.lease(
        session.migration, plan_id, number, _holder(), session.settings.migration_lease_seconds
    )
    if held is None:
        return "dropped"
    began = time.monotonic()
    try:
        result = work(held)
    except Superseded as error:
        plans.end(session.migration, plan_id, plans.VOID, str(error))
        return "void"
    except (NotCaughtUp, SnapshotMissing, SQLAlchemyError) as error:
        _release(session, held, error)
        return "released"
    except BaseException as error:
        _release(session, held, error)
        raise
    with session.migration.begin() as connection:
        seconds = time.monotonic() - began
        done = plans.finish(connection, held, seconds, result.rows, result.rejected, result.differences)
    return "done" if done else "late"


def _release(session: Session, held: Lease, error: BaseException) -> None:
    cause = getattr(error, "orig", None) or error
    text = f"{type(error).__name__}: {str(cause).strip()[:500]}"
    log.warning("chunk %s of %s is put back: %s", held.chunk.number, held.chunk.plan_id, text)
    try:
        plans.release(session.migration, held, text, RETRY_SECONDS, RESEND_SECONDS)
    except SQLAlchemyError:
        log.warning("migration_db is away; the lease runs out by itself")


def _holder() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _cut_more(session: Session, connection: Connection, plan: Plan) -> list[Chunk]:
    """As many chunks as the workers need now; none on a machine without the snapshot."""
    chunks: list[Chunk] = []
    missing = _wanted(connection, plan.id) if plan.next_key is not None else 0
    if missing <= 0:
        return chunks
    rows = _rows_for_next(connection, plan)
    try:
        with rows_of(session, plan) as snapshot:
            while plan.next_key is not None and len(chunks) < missing:
                border = border_key(snapshot, plan.next_key, plan.last_key, rows)
                last = plan.last_key if border is None else border - 1
                chunks.append(plans.cut(connection, plan, plan.next_key, last))
                plan = replace(plan, next_key=None if border is None else border)
    except SnapshotMissing as error:
        log.warning("no chunks can be cut here: %s", error)
    return chunks


def _wanted(connection: Connection, plan_id: str) -> int:
    """How many chunks are missing to keep every active worker process busy."""
    waiting, active = connection.exec_driver_sql(
        "SELECT count(*) FILTER (WHERE state <> 'done'), count(DISTINCT leased_by)"
        " FILTER (WHERE leased_until > now() - interval '5 seconds') FROM chunks WHERE plan_id = %s",
        (plan_id,),
    ).one()
    return int((1 + _BACKLOG) * max(active, 2) - waiting)


def _rows_for_next(connection: Connection, plan: Plan) -> int:
    """What the chunks before did in the time that a chunk should take, at most _GROWTH times the largest of them."""
    rows, seconds, largest = connection.exec_driver_sql(
        "SELECT sum(rows), sum(seconds), max(rows) FROM (SELECT rows, seconds FROM chunks"
        " WHERE plan_id = %s AND state = 'done' ORDER BY finished_at DESC LIMIT 6) AS recent",
        (plan.id,),
    ).one()
    if not rows or not seconds:
        return FIRST_ROWS[plan.kind]
    wanted = float(rows) / float(seconds) * CHUNK_SECONDS[plan.kind]
    return int(max(FEWEST_ROWS, min(wanted, _GROWTH * largest, MOST_ROWS[plan.kind])))
