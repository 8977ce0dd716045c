"""Plans of a pass over the whole table (a bulk copy or a verification) and their chunks, in migration_db.

A chunk is cut off the plan's remaining keys when it is about to be queued, so its size can follow the speed of those
before it; once cut, its range never changes. Who works on a chunk holds a lease with a token that grows with each
lease: Celery on Redis delivers a task again when it took long or its worker died, and only the newest holder may
finish. What a chunk wrote is decided by the done marks in the two service databases, not here.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from migration.answer import refused
from migration.snapshot import Snapshot

COPY, VERIFY = "copy", "verify"
RUNNING, DONE, VOID = "running", "done", "void"
_FINISH_LOCK = 0x4D470004
_FIELDS = (
    "id, kind, state, file_id, epoch, seq, snapshot, rows, next_key, last_key,"
    " created_at, created_by, finished_at, note"
)
_PLAN_FIELDS = ", ".join(f"plans.{name.strip()}" for name in _FIELDS.split(","))


@dataclass(frozen=True)
class Plan:
    """A pass. `epoch`, `file_id`, `seq`, `rows`: the snapshot's; `next_key`: first key not cut into chunks, or None."""

    id: str
    kind: str
    state: str
    file_id: str
    epoch: int
    seq: int
    snapshot: str
    rows: int
    next_key: int | None
    last_key: int
    created_at: datetime
    created_by: str
    finished_at: datetime | None
    note: str | None


@dataclass(frozen=True)
class Chunk:
    """Keys `first` to `last` (inclusive) of a plan; `number` counts from 1."""

    plan_id: str
    number: int
    first: int
    last: int

    @property
    def keys(self) -> str:
        """The range for people."""
        return f"{self.first}..{self.last}"


@dataclass(frozen=True)
class Lease:
    """The right to work on `chunk` of `plan`; `token` fences off older holders, `attempt` counts from 1."""

    plan: Plan
    chunk: Chunk
    token: int


def new_id(kind: str) -> str:
    """Sorts by time, and says what it is: `copy-20260131-102030-1f3a`."""
    return f"{kind}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def insert(
    engine: Engine, plan_id: str, kind: str, snapshot: Snapshot, keys: tuple[int, int], by: str
) -> Plan:
    """Record a plan over `keys` (first, last). Without rows to look at there is nothing to cut.

    Raises:
        Refused: another plan is running.
    """
    first, last = keys
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO plans (id, kind, file_id, epoch, seq, snapshot, rows, next_key, last_key, created_by)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                (
                    plan_id,
                    kind,
                    snapshot.file_id,
                    snapshot.epoch,
                    snapshot.seq,
                    snapshot.name,
                    snapshot.rows,
                    first if first <= last else None,
                    last,
                    by,
                ),
            )
    except IntegrityError as error:
        raise refused(
            "plan_running", "Another copy or verification has just begun.", "Run it again."
        ) from error
    return get(engine, plan_id)


def get(engine: Engine, plan_id: str) -> Plan:
    """The plan as it is now."""
    found = _select(engine, "WHERE id = %s", (plan_id,))
    if not found:
        raise LookupError(f"there is no plan {plan_id}")
    return found[0]


def running(engine: Engine) -> Plan | None:
    """The one plan that is running, if any."""
    found = _select(engine, "WHERE state = 'running'", ())
    return found[0] if found else None


def latest(engine: Engine, kind: str, file_id: str, state: str = DONE) -> Plan | None:
    """The newest plan of this kind for this file."""
    found = _select(
        engine,
        "WHERE kind = %s AND file_id = %s AND state = %s ORDER BY created_at DESC LIMIT 1",
        (kind, file_id, state),
    )
    return found[0] if found else None


def _select(engine: Engine, condition: str, values: Sequence[Any]) -> list[Plan]:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"SELECT {_FIELDS} FROM plans {condition}", tuple(values)).all()  # noqa: S608
    return [Plan(*row) for row in rows]


def end(engine: Engine, plan_id: str, state: str, note: str | None = None) -> bool:
    """Move a running plan to DONE or VOID; False when it was not running any more."""
    with engine.begin() as connection:
        moved = connection.exec_driver_sql(
            "UPDATE plans SET state = %s, note = %s, finished_at = now() WHERE id = %s AND state = 'running'",
            (state, note, plan_id),
        )
    return moved.rowcount == 1


def lock(connection: Connection, plan_id: str) -> Plan | None:
    """The running plan, locked for cutting until the transaction ends; None when it does not run any more."""
    row = connection.exec_driver_sql(
        f"SELECT {_FIELDS} FROM plans WHERE id = %s AND state = 'running' FOR UPDATE",  # noqa: S608
        (plan_id,),
    ).one_or_none()
    return None if row is None else Plan(*row)


def cut(connection: Connection, plan: Plan, first: int, last: int) -> Chunk:
    """Cut the keys from `first` (its next key) to `last` off a locked plan."""
    number = connection.exec_driver_sql(
        "UPDATE plans SET next_key = %s, next_chunk = next_chunk + 1 WHERE id = %s RETURNING next_chunk - 1",
        (last + 1 if last < plan.last_key else None, plan.id),
    ).scalar_one()
    connection.exec_driver_sql(
        "INSERT INTO chunks (plan_id, chunk, first_key, last_key) VALUES (%s, %s, %s, %s)",
        (plan.id, number, first, last),
    )
    return Chunk(plan.id, number, first, last)


def overdue(connection: Connection, plan_id: str, resend_seconds: float) -> list[Chunk]:
    """Chunks whose lease ran out, or whose message nobody has taken for `resend_seconds`: queued anew."""
    rows = connection.exec_driver_sql(
        "UPDATE chunks SET state = 'queued', queued_at = now() WHERE plan_id = %(plan)s AND"
        " (state = 'leased' AND leased_until < now()"
        " OR state = 'queued' AND queued_at < now() - %(seconds)s * interval '1 second')"
        " RETURNING plan_id, chunk, first_key, last_key",
        {"plan": plan_id, "seconds": resend_seconds},
    ).all()
    return sorted((Chunk(*row) for row in rows), key=lambda chunk: chunk.number)


def lease(engine: Engine, plan_id: str, number: int, holder: str, seconds: float) -> Lease | None:
    """Take the chunk for `seconds`; None when it is done, somebody else has it, or the plan does not run any more."""
    with engine.begin() as connection:
        row = connection.exec_driver_sql(
            "UPDATE chunks SET state = 'leased', token = token + 1, leased_by = %(holder)s,"  # noqa: S608
            " leased_until = now() + %(seconds)s * interval '1 second' FROM plans"
            " WHERE plans.id = plan_id AND plans.state = 'running' AND plan_id = %(plan)s AND chunk = %(chunk)s"
            " AND (chunks.state = 'queued' OR chunks.state = 'leased' AND leased_until < now())"
            f" RETURNING chunks.first_key, chunks.last_key, token, {_PLAN_FIELDS}",
            {"holder": holder, "seconds": seconds, "plan": plan_id, "chunk": number},
        ).one_or_none()
    if row is None:
        return None
    first, last, token, *plan = row
    return Lease(Plan(*plan), Chunk(plan_id, number, first, last), token)


def finish(
    connection: Connection, held: Lease, seconds: float, rows: int, rejected: int, differences: int = 0
) -> bool:
    """Record the chunk as done; False when the lease went to somebody else meanwhile."""
    moved = connection.exec_driver_sql(
        "UPDATE chunks SET state = 'done', finished_at = now(), seconds = %s, rows = %s, rejected = %s,"
        " differences = %s, error = NULL WHERE plan_id = %s AND chunk = %s AND token = %s AND state = 'leased'",
        (seconds, rows, rejected, differences, held.chunk.plan_id, held.chunk.number, held.token),
    )
    return moved.rowcount == 1


def release(
    engine: Engine, held: Lease, error: str | None, after_seconds: float, resend_seconds: float
) -> None:
    """Give the chunk back, to be queued again in `after_seconds`; `error` is shown to the operator."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE chunks SET state = 'queued', error = %s,"
            " queued_at = now() + %s * interval '1 second' - %s * interval '1 second'"
            " WHERE plan_id = %s AND chunk = %s AND token = %s AND state = 'leased'",
            (error, after_seconds, resend_seconds, held.chunk.plan_id, held.chunk.number, held.token),
        )


def put_back(engine: Engine, plan_id: str, number: int) -> None:
    """A chunk whose message was taken at a time when nobody may work: it is sent again as soon as somebody may."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE chunks SET queued_at = now() - interval '1 day'"
            " WHERE plan_id = %s AND chunk = %s AND state = 'queued'",
            (plan_id, number),
        )


def reopen(engine: Engine, plan_id: str, numbers: Sequence[int]) -> None:
    """Chunks recorded as done that a database has lost (it was put back from a backup) are done again."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE chunks SET state = 'queued', queued_at = now() - interval '1 day'"
            " WHERE plan_id = %s AND chunk = ANY(%s) AND state = 'done'",
            (plan_id, list(numbers)),
        )


@contextmanager
def finishing(engine: Engine) -> Iterator[bool]:
    """Whether this process alone may do what comes behind the last chunk, until the block ends."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        mine = connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_FINISH_LOCK})").scalar_one()
        try:
            yield bool(mine)
        finally:
            if mine:
                connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_FINISH_LOCK})")
