"""One chunk of the bulk copy: read its keys (`source`), write them into both databases.

Per database one transaction (docs/protocol.md, "Chunk"): rows of keys that no applier has written since the plan began,
rejects, and the done mark. It may come twice, late, or beside itself; what changed since is left to the appliers, and
rows that were not read are left alone.
"""

import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from sqlalchemy import Connection, Engine

from migration.extract import parts
from migration.marks import note_rejects
from migration.message import Message
from migration.pg_copy import copy_in
from migration.plan import Chunk, Plan
from migration.ranges import lock_range
from migration.sides import USER, Side
from migration.source import log_end
from migration.values import Reject
from service_kit.steps import step
from service_kit.truth.phase import PHASE_LOCK, follow

_IN_MEMORY_BYTES = 16 << 20  # per database; a chunk of larger values waits in a temporary file
_TRIES = 5


class Superseded(Exception):
    """The database has moved beyond the plan's epoch: nothing of the plan may be written any more."""


class NotCaughtUp(Exception):
    """An applier has not brought the database up to the snapshot's log number yet; later it will have."""


@dataclass(frozen=True)
class ChunkText:
    """A chunk as COPY text: `files` by side; `rows` read, `rejects` of them.

    `read_to`: the log's end behind the last read; no row is younger. The done mark carries it, so that an applier knows
    which batches are older than these rows.
    """

    files: dict[str, IO[bytes]]
    rows: int
    rejects: Sequence[Reject]
    read_to: int


@contextmanager
def read(source: sqlite3.Connection, plan: Plan, chunk: Chunk) -> Iterator[ChunkText]:
    """The chunk's rows. Memory stays flat whatever their size. See `source.log_end` for what it raises."""
    with (
        tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as users,
        tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as credentials,
    ):
        rows = 0
        rejects: list[Reject] = []
        for part in parts(source, chunk.first, chunk.last):
            users.write(part.users)
            credentials.write(part.credentials)
            rejects += part.rejects
            rows += part.rows
        files: dict[str, IO[bytes]] = {"user_db": users, "auth_db": credentials}
        yield ChunkText(files, rows, rejects, log_end(source, plan))


def write(engine: Engine, side: Side, plan: Plan, chunk: Chunk, text: ChunkText) -> None:
    """Bring the chunk into the database of `side`, unless it is done there.

    Raises:
        Superseded, NotCaughtUp: nothing was written.
    """
    for _ in range(_TRIES):
        with engine.begin() as connection:
            seen = _enter(connection, side, chunk, text)
            if (seen.epoch, seen.fenced) > (plan.epoch, False):
                raise Superseded(f"{side.name} is at epoch {seen.epoch}, the plan was made at {plan.epoch}")
            if seen.epoch == plan.epoch:
                if (
                    seen.cursor < text.read_to
                ):  # else a change in the snapshot would never be seen as a change
                    raise NotCaughtUp(
                        f"{side.name} has applied entry {seen.cursor}, the rows were read up to {text.read_to}"
                    )
                if not seen.done:
                    _write(connection, side, plan, chunk, text, seen)
                return
        follow(engine, plan.epoch)
    raise NotCaughtUp(f"{side.name} does not follow to epoch {plan.epoch}")


@dataclass(frozen=True)
class _Seen:
    """The database under the locks: its phase row; whether the chunk is done; whether its keys were ever here."""

    epoch: int
    fenced: bool
    cursor: int
    done: bool
    touched: bool


def _enter(connection: Connection, side: Side, chunk: Chunk, text: ChunkText) -> _Seen:
    """Take the phase lock, then the lock of the keys; only then look at anything."""
    message = Message(connection)
    message.exec_driver_sql(
        f"SET LOCAL migration.applying = 'on'; SELECT pg_advisory_xact_lock_shared({PHASE_LOCK})"
    )
    if text.rows:
        lock_range(message.collector, chunk.first, chunk.last)
    message.exec_driver_sql(
        "SELECT epoch, fenced, cursor,"  # noqa: S608
        " EXISTS (SELECT FROM migration_chunks WHERE plan_id = %(plan)s AND chunk = %(chunk)s),"
        " EXISTS (SELECT FROM migration_versions WHERE key BETWEEN %(first)s AND %(last)s)"
        f" OR EXISTS (SELECT FROM {side.table} WHERE {side.key} BETWEEN %(first)s AND %(last)s)"
        " OR EXISTS (SELECT FROM migration_rejects WHERE key BETWEEN %(first)s AND %(last)s)"
        " FROM migration_phase WHERE id = 1",
        {"plan": chunk.plan_id, "chunk": chunk.number, "first": chunk.first, "last": chunk.last},
    )
    row: Any = message.send().one()
    return _Seen(*row)


def _write(
    connection: Connection, side: Side, plan: Plan, chunk: Chunk, text: ChunkText, seen: _Seen
) -> None:
    if text.rows:
        if seen.touched:
            _merge(connection, side, plan.seq, text)
        else:
            copy_in(connection, side.table, (side.key, *side.columns), text.files[side.name])
        if seen.touched or text.rejects:
            _note_rejects(connection, side, plan.seq, chunk, text)
    connection.exec_driver_sql(
        "INSERT INTO migration_chunks (plan_id, chunk, seq, rows, rejected) VALUES (%s, %s, %s, %s, %s)",
        (chunk.plan_id, chunk.number, text.read_to, text.rows, len(text.rejects)),
    )
    if side is USER:
        step("chunk.before_user_commit")
    else:
        step("chunk.before_auth_commit")


def _merge(connection: Connection, side: Side, seq: int, text: ChunkText) -> None:
    """Write the rows of keys without a version above `seq`, over older ones too."""
    staging = f"copied_{side.table}"
    types = {side.key: "bigint", **side.columns}
    connection.exec_driver_sql(
        f"CREATE TEMP TABLE IF NOT EXISTS {staging} ({', '.join(f'{name} {kind}' for name, kind in types.items())})"
        " ON COMMIT DELETE ROWS; SET CONSTRAINTS ALL DEFERRED"
    )
    copy_in(connection, staging, types, text.files[side.name])
    mine = ", ".join(f"{side.table}.{name}" for name in side.columns)
    theirs = ", ".join(f"excluded.{name}" for name in side.columns)
    connection.exec_driver_sql(
        f"INSERT INTO {side.table} ({', '.join(types)}) SELECT {', '.join(types)} FROM {staging}"  # noqa: S608
        f" WHERE NOT EXISTS (SELECT FROM migration_versions WHERE key = {staging}.{side.key} AND seq > %s)"
        f" ON CONFLICT ({side.key}) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in side.columns)},"
        f" {side.touch} WHERE ({mine}) IS DISTINCT FROM ({theirs})",
        (seq,),
    )


def _note_rejects(connection: Connection, side: Side, seq: int, chunk: Chunk, text: ChunkText) -> None:
    """Rejected keys have a note and no row; keys of the range that are not rejected (any more) have no note."""
    keys = [reject.key for reject in text.rejects]
    connection.exec_driver_sql(
        "DELETE FROM migration_rejects WHERE key BETWEEN %s AND %s AND key <> ALL(%s::bigint[]) AND NOT EXISTS"
        " (SELECT FROM migration_versions newer WHERE newer.key = migration_rejects.key AND newer.seq > %s)",
        (chunk.first, chunk.last, keys, seq),
    )
    if not keys:
        return
    changed = connection.exec_driver_sql(
        "SELECT key FROM migration_versions WHERE key = ANY(%s) AND seq > %s", (keys, seq)
    )
    newer = {row[0] for row in changed}
    rejects = [reject for reject in text.rejects if reject.key not in newer]
    side.remove(connection, [reject.key for reject in rejects])
    note_rejects(connection, [], rejects, seq)
