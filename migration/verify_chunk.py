"""One chunk of a verification: every row and column of its keys on both sides.

Some thousand rows at a time are digested on both sides (`digest`). Where digests differ, or rows are not plain, the
lines that COPY would load are compared, and they name the keys. Those are only suspects: a row may have changed since
it was read. `suspects.judge` looks again, beside the live file.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from sqlalchemy import Connection, Engine

from migration.digest import Digest, columns_of, source_digests, target_digest
from migration.extract import Part, parts, portions
from migration.file_schema import TABLE
from migration.passes import ChunkResult
from migration.pg_copy import copy_out
from migration.plan import Lease
from migration.session import Session
from migration.sides import USER, Side
from migration.source import rows_of
from service_kit.steps import step

_DIGESTED_AT_ONCE = 20_000
_SLACK_BYTES = 8 << 20
_KEYS_AT_ONCE = 5_000
_Targets = Mapping[Side, Connection]


class _TooMuch(Exception):
    """The database has far more rows in a range than the file."""


def run(session: Session, held: Lease) -> ChunkResult:
    """Compare the chunk and note the suspects."""
    rows = rejected = 0
    suspects: set[int] = set()
    with ExitStack() as stack:
        source = stack.enter_context(rows_of(session, held.plan))
        targets = {side: stack.enter_context(_reading(engine)) for side, engine in session.targets.items()}
        pool = stack.enter_context(ThreadPoolExecutor(len(targets)))
        for first, last in portions(source, held.chunk.first, held.chunk.last, _DIGESTED_AT_ONCE):
            digests = _same_digests(pool, targets, source, first, last)
            if digests is not None:
                rows += digests[USER.name].rows
                continue
            for part in parts(source, first, last):
                rows += part.rows
                rejected += len(part.rejects)
                suspects |= _suspects(targets, source, part)
    step("verify.chunk_compared")
    _note(session.migration, held.plan.id, suspects)
    return ChunkResult(rows, rejected, len(suspects))


def _reading(engine: Engine) -> Connection:
    """A connection on which each statement sees the database as it is then."""
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    connection.exec_driver_sql("SET datestyle = 'ISO'")
    return connection


def _same_digests(
    pool: ThreadPoolExecutor, targets: _Targets, source: sqlite3.Connection, first: int, last: int
) -> dict[str, Digest] | None:
    """The digests of a range that is the same on both sides, else None. The databases work while the file is read."""
    asked = {
        side: pool.submit(target_digest, target, side, first, last, _DIGESTED_AT_ONCE)
        for side, target in targets.items()
    }
    digests = source_digests(source, first, last)
    found = {side.name: answer.result() for side, answer in asked.items()}
    return digests if digests is not None and digests == found else None


def _suspects(targets: _Targets, source: sqlite3.Connection, part: Part) -> set[int]:
    found: set[int] = set()
    for side, target in targets.items():
        try:
            found |= _differing(target, side, part)
        except _TooMuch:
            for first, last in _ranges(target, side, part):
                for piece in parts(source, first, last):
                    found |= _differing_or_all(target, side, source, piece)
    return found


def _text(side: Side, part: Part) -> bytes:
    return part.users if side is USER else part.credentials


def _keys_of(part: Part) -> str:
    return f"BETWEEN {part.first} AND {part.last}"


def _differing(target: Connection, side: Side, part: Part) -> set[int]:
    """The keys of lines that only one side has, and of rejects that only one side knows."""
    sink = _Sink(2 * len(_text(side, part)) + _SLACK_BYTES)
    keys = _keys_of(part)
    copy_out(target, f"SELECT {columns_of(side)} FROM {side.table} WHERE {side.key} {keys}", sink)  # noqa: S608
    noted = target.exec_driver_sql(f"SELECT key FROM migration_rejects WHERE key {keys}")  # noqa: S608
    lines = set(_lines(sink.text())) ^ set(_lines(_text(side, part)))
    return _keys(lines) | ({row[0] for row in noted} ^ {reject.key for reject in part.rejects})


def _differing_or_all(target: Connection, side: Side, source: sqlite3.Connection, part: Part) -> set[int]:
    """Every key of a small range, when the database holds values of a size that no legacy row has."""
    try:
        return _differing(target, side, part)
    except _TooMuch:
        found = source.execute(f"SELECT id FROM {TABLE} WHERE id >= ? AND id <= ?", (part.first, part.last))  # noqa: S608
        held = target.exec_driver_sql(
            f"SELECT {side.key} FROM {side.table} WHERE {side.key} {_keys_of(part)}"  # noqa: S608
        )
        return {row[0] for row in found} | {row[0] for row in held}


class _Sink:
    """Takes lines as COPY TO sends them; past `most` bytes it only counts, so that memory stays flat."""

    def __init__(self, most: int) -> None:
        self._lines: list[bytes] = []
        self._room = most

    def write(self, line: bytes) -> int:
        self._room -= len(line)
        if self._room >= 0:
            self._lines.append(line)
        return len(line)

    def text(self) -> bytes:
        if self._room < 0:
            raise _TooMuch
        return b"".join(self._lines)


def _lines(text: bytes) -> list[bytes]:
    return text.split(b"\n")[:-1]


def _keys(lines: set[bytes]) -> set[int]:
    return {int(line.partition(b"\t")[0]) for line in lines}


def _ranges(target: Connection, side: Side, part: Part) -> Iterator[tuple[int, int]]:
    """The part's range in portions of which the database has at most _KEYS_AT_ONCE rows."""
    found = target.exec_driver_sql(
        f"SELECT key FROM (SELECT {side.key} AS key, row_number() OVER (ORDER BY {side.key}) AS place"  # noqa: S608
        f" FROM {side.table} WHERE {side.key} {_keys_of(part)}) AS numbered WHERE place %% {_KEYS_AT_ONCE} = 0"
        " ORDER BY key"
    )
    first = part.first
    for border in [row[0] for row in found]:
        yield first, border
        first = border + 1
    if first <= part.last:
        yield first, part.last


def _note(engine: Engine, plan_id: str, keys: set[int]) -> None:
    if not keys:
        return
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO suspects (plan_id, key) SELECT %s, key FROM unnest(%s::bigint[]) AS key"
            " ON CONFLICT DO NOTHING",
            (plan_id, sorted(keys)),
        )
