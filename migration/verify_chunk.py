"""One chunk of a verification: every row of its keys on both sides, as COPY text, compared byte by byte.

Where the texts differ, their lines name the keys. Those are only suspects: the row may have changed since the snapshot
was taken. `verify.settle` looks at them again beside the live file.
"""

import sqlite3
from collections.abc import Iterator

from sqlalchemy import Engine

from migration.extract import Part, parts
from migration.file_schema import TABLE
from migration.passes import ChunkResult
from migration.pg_copy import copy_out
from migration.plan import Lease
from migration.session import Session
from migration.sides import AUTH, USER, Side
from migration.snapshot import folder, opened
from service_kit.steps import step

_SLACK_BYTES = 8 << 20
_KEYS_AT_ONCE = 5_000
_SELECT = {
    # a row that is not active is no row to anybody: let it differ
    USER: "id, CASE status WHEN 'active' THEN email END, name, created_at, created_at_source",
    AUTH: "user_id, password_hash, salt",
}


class _TooMuch(Exception):
    """The database has far more rows in a range than the snapshot."""


def run(session: Session, held: Lease) -> ChunkResult:
    """Compare the chunk and note the suspects."""
    plan, chunk = held.plan, held.chunk
    rows = rejected = 0
    suspects: set[int] = set()
    with opened(folder(session.settings), plan.snapshot, plan.id) as snapshot:
        for part in parts(snapshot, chunk.first, chunk.last):
            rows += part.rows
            rejected += len(part.rejects)
            try:
                suspects |= _suspects(session, part)
            except _TooMuch:
                for first, last in _target_ranges(session, part):
                    for piece in parts(snapshot, first, last):
                        suspects |= _suspects_or_all(session, snapshot, piece)
    step("verify.chunk_compared")
    _note(session.migration, plan.id, suspects)
    return ChunkResult(rows, rejected, len(suspects))


def _suspects(session: Session, part: Part) -> set[int]:
    texts = {USER: part.users, AUTH: part.credentials}
    found: set[int] = set()
    for side, engine in session.targets.items():
        held, noted = _read(engine, side, part, len(texts[side]))
        if held != texts[side]:
            found |= _keys(set(_lines(held)) ^ set(_lines(texts[side])))
        found |= noted ^ {reject.key for reject in part.rejects}
    return found


def _suspects_or_all(session: Session, snapshot: sqlite3.Connection, part: Part) -> set[int]:
    """Every key of a small range, when one of its databases holds values of a size that no legacy row has."""
    try:
        return _suspects(session, part)
    except _TooMuch:
        found = snapshot.execute(f"SELECT id FROM {TABLE} WHERE id >= ? AND id <= ?", (part.first, part.last))  # noqa: S608
        keys = {row[0] for row in found}
        for side, engine in session.targets.items():
            with engine.connect() as connection:
                held = connection.exec_driver_sql(
                    f"SELECT {side.key} FROM {side.table} WHERE {side.key} BETWEEN %s AND %s",  # noqa: S608
                    (part.first, part.last),
                )
                keys |= {row[0] for row in held}
        return keys


def _read(engine: Engine, side: Side, part: Part, expected: int) -> tuple[bytes, set[int]]:
    """The text of the range's rows, in the order of their keys, and the keys noted as rejects."""
    sink = _Sink(2 * expected + _SLACK_BYTES)
    keys = f"BETWEEN {part.first} AND {part.last}"
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL datestyle = 'ISO'")
        where = f"WHERE {side.key} {keys} ORDER BY {side.key}"
        copy_out(connection, f"SELECT {_SELECT[side]} FROM {side.table} {where}", sink)  # noqa: S608
        noted = connection.exec_driver_sql(f"SELECT key FROM migration_rejects WHERE key {keys}")  # noqa: S608
        return sink.text(), {row[0] for row in noted}


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


def _target_ranges(session: Session, part: Part) -> Iterator[tuple[int, int]]:
    """The part's range in portions of which no database has more than _KEYS_AT_ONCE rows (of each alone)."""
    borders: set[int] = set()
    for side, engine in session.targets.items():
        with engine.connect() as connection:
            found = connection.exec_driver_sql(
                f"SELECT key FROM (SELECT {side.key} AS key, row_number() OVER (ORDER BY {side.key}) AS place"  # noqa: S608
                f" FROM {side.table} WHERE {side.key} BETWEEN %s AND %s) AS numbered WHERE place %% %s = 0",
                (part.first, part.last, _KEYS_AT_ONCE),
            )
            borders |= {row[0] for row in found}
    first = part.first
    for border in sorted(borders):
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
