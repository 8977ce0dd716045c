"""The forward applier: one batch of the file's log into one database, in one transaction.

The transaction moves the database from one state of the file to a later one, appends the events that follow, and
moves the cursor. It may come twice, late or never: a version per key keeps older rows from overwriting newer ones, the
epoch that the batch was read at keeps it out of a database that has moved on (docs/protocol.md, "Forward applier").
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from migration.batch import Batch, Blocked, Entry
from migration.file_place import other_file
from migration.marks import note_rejects, note_versions
from migration.message import BEGIN, COMMIT, Message, transaction_by_messages
from migration.ranges import lock_keys
from migration.sides import USER, Known, Look, Side
from migration.values import Reject
from service_kit.events.store import NewEvent, append_many
from service_kit.steps import step
from service_kit.truth.phase import PHASE_LOCK, follow

APPLY_LOCK = 0x4D470003
_TRIES = 5
_UNIQUE_VIOLATION, _LOCK_TIMEOUT, _DEADLOCK = "23505", "55P03", "40P01"


class Outcome(Enum):
    """What became of a batch in one database."""

    APPLIED = "applied"
    DROPPED = "dropped"  # the database is beyond the epoch that the batch was read at
    STALE = (
        "stale"  # something younger than the batch's snapshot is there, or older than its start: read again
    )
    CLASH = "clash"  # an email is held by a row that this batch does not know: read the file again, whole
    BUSY = "busy"  # a lock did not come in time


@dataclass(frozen=True)
class Applied:
    """`outcome`, the cursor afterwards, and how many rows were written, removed and rejected."""

    outcome: Outcome
    cursor: int = 0
    written: int = 0
    removed: int = 0
    rejected: int = 0


@dataclass
class _Work:
    """What one database has to do for a batch."""

    halves: list[tuple[Any, ...]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    events: list[NewEvent] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)


class HeadStart:
    """The beginning of a batch's transaction, made before the batch is read: the locks, and what was seen under them.

    While the locks are held nobody else moves the phase row or writes a row of `keys`, so what was seen still holds
    when the batch is read. A context manager: at its end the locks are gone, whether the transaction was used or not.
    """

    def __init__(
        self,
        engine: Engine,
        side: Side,
        keys: Iterable[int],
        *,
        lock_ms: int = 3000,
        statement_ms: int = 5000,
    ) -> None:
        self.keys = frozenset(keys)
        with ExitStack() as stack:
            self.connection = stack.enter_context(transaction_by_messages(engine))
            self.seen = _enter(self.connection, side, list(self.keys), lock_ms, statement_ms)
            self._stack = stack.pop_all()

    def serves(self, batch: Batch) -> bool:
        """Whether the locks cover every key of `batch`."""
        return self.keys.issuperset(batch.keys)

    def __enter__(self) -> "HeadStart":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def apply_batch(
    engine: Engine,
    side: Side,
    batch: Batch,
    *,
    lock_ms: int = 3000,
    statement_ms: int = 5000,
    start: HeadStart | None = None,
) -> Applied:
    """Apply `batch` to the database of `side`, following the file's epoch first when the database is behind it.

    A wait for a lock ends after `lock_ms`, a statement after `statement_ms`. `start` is used if it serves the batch,
    and ended in any case.

    Raises:
        Blocked: the database belongs to another file.
    """
    try:
        if start is not None:
            with start:
                applied = _attempt(start.connection, side, batch, start.seen) if start.serves(batch) else None
            if applied is not None:
                return applied
        for _ in range(_TRIES):
            with transaction_by_messages(engine) as connection:
                seen = _enter(connection, side, batch.keys, lock_ms, statement_ms)
                applied = _attempt(connection, side, batch, seen)
            if applied is not None:
                return applied
            follow(engine, batch.epoch)
    except DBAPIError as error:
        outcome = _OUTCOMES.get(getattr(error.orig, "pgcode", None) or "")
        if outcome is None:
            raise
        return Applied(outcome)
    return Applied(Outcome.BUSY)


_OUTCOMES = {_UNIQUE_VIOLATION: Outcome.CLASH, _LOCK_TIMEOUT: Outcome.BUSY, _DEADLOCK: Outcome.BUSY}


def _enter(connection: Connection, side: Side, keys: Sequence[int], lock_ms: int, statement_ms: int) -> Look:
    """Take the phase lock, then the appliers' own, then those of the keys; only then look at anything.

    The phase lock comes first for everybody: who waits for it while holding another could stop a fence.
    """
    message = Message(connection)
    message.exec_driver_sql(
        f"{BEGIN}; SET LOCAL lock_timeout = {lock_ms}; SET LOCAL statement_timeout = {statement_ms};"
        " SET LOCAL migration.applying = 'on';"
        f" SELECT pg_advisory_xact_lock_shared({PHASE_LOCK}); SELECT pg_advisory_xact_lock({APPLY_LOCK})"
    )
    lock_keys(message.collector, keys)
    return side.look(message, keys)


def _attempt(connection: Connection, side: Side, batch: Batch, seen: Look) -> Applied | None:
    """Apply the batch to what was seen under the locks; None when the database has to follow the file first."""
    if seen.file_id not in (None, batch.file_id):
        raise Blocked(other_file(side.name))
    if (seen.epoch, seen.fenced) > (batch.epoch, False):
        return Applied(Outcome.DROPPED, seen.cursor)
    return _apply(connection, side, batch, seen) if seen.epoch == batch.epoch else None


def _apply(connection: Connection, side: Side, batch: Batch, seen: Look) -> Applied:
    """Write and commit in one message; a batch that is stale changes nothing."""
    if seen.cursor < batch.after:  # the database was put back from a backup since its cursor was read
        return Applied(Outcome.STALE, seen.cursor)
    work = _Work()
    message = Message(connection)
    if seen.cursor < batch.upto:
        entries = _by_key(batch, seen.cursor)
        if _is_stale(batch, {key: seen.known[key] for key in entries}, seen.copied_to):
            return Applied(Outcome.STALE, seen.cursor)
        for key in entries:
            _plan(work, side, key, entries[key], seen.known[key], batch)
        _write(message.collector, side, work, batch.last_seq, seen.rejects)
    cursor = max(seen.cursor, batch.upto)
    if cursor > seen.cursor or seen.file_id is None:
        message.exec_driver_sql(
            "UPDATE migration_phase SET cursor = %s, file_id = %s, capture = true WHERE id = 1",
            (cursor, batch.file_id),
        )
    _before_commit(side)
    message.exec_driver_sql(COMMIT)
    message.send()
    return Applied(Outcome.APPLIED, cursor, len(work.halves), len(work.gone), len(work.rejects))


def _by_key(batch: Batch, cursor: int) -> dict[int, list[Entry]]:
    """The entries that this database has not seen, by key. What it has seen, it holds in that state or a later one.

    Keys that are in the batch without an entry have none: their rows are brought over, and nothing is told of it.
    """
    found: dict[int, list[Entry]] = {key: [] for key in batch.also}
    for entry in batch.entries:
        if entry.seq > cursor:
            found.setdefault(entry.key, []).append(entry)
    return found


def _is_stale(batch: Batch, known: Mapping[int, Known], copied_to: int) -> bool:
    """Whether a key was written from a younger snapshot: by an applier (its version says so) or by a chunk.

    A chunk writes no versions (not over an older one either), so any row that is there counts as old as the youngest
    chunk.
    """
    return any(
        (one.seq or 0) > batch.last_seq or (one.row and copied_to > batch.last_seq) for one in known.values()
    )


def _plan(work: _Work, side: Side, key: int, entries: list[Entry], known: Known, batch: Batch) -> None:
    row = batch.rows.get(key)
    after = None if row is None or isinstance(row, Reject) else side.half(row)
    work.keys.append(key)
    if after is not None:
        work.halves.append(after)
    else:
        work.gone.append(key)
    if isinstance(row, Reject):
        work.rejects.append(row)
    event = side.event(entries, known, after) if entries else None
    if event is not None:
        work.events.append(event)


def _write(connection: Connection, side: Side, work: _Work, seq: int, had_rejects: bool) -> None:
    """Rows may swap their unique values within the batch, so those are checked once, at its end."""
    if not work.keys:
        return
    several = len(work.keys) > 1
    if several:
        connection.exec_driver_sql("SET CONSTRAINTS ALL DEFERRED")
    side.remove(connection, work.gone)
    side.write(connection, work.halves)
    note_versions(connection, work.keys, set(work.gone), seq)
    if had_rejects or work.rejects:
        note_rejects(connection, work.keys, work.rejects, seq)
    append_many(connection, work.events)
    if several:
        connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")


def _before_commit(side: Side) -> None:
    if side is USER:
        step("apply.before_user_commit")
    else:
        step("apply.before_auth_commit")
