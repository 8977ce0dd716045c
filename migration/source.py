"""Where the chunks of a plan read the legacy rows: the legacy file itself, or the snapshot that the plan names.

Chunks read the file in reads as short as those that take a snapshot, unless MIGRATION_SNAPSHOT_DIR says that workers
on other machines share the work: they have no file. Neither is one moment of the file, nor need it be: `seq` is the
log's number from before the first row was read and `log_end` the one from behind the last, and whatever changes
meanwhile is in the log.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from migration.extract import count, portions
from migration.file_schema import TABLE
from migration.plan import Plan
from migration.session import Session
from migration.snapshot import Snapshot, SnapshotMissing, folder, opened, take, usable
from service_kit.truth.legacy_file import transaction

_COUNTED_AT_ONCE = 50_000
_SMALL = 2_000_000
"""So many rows are counted in some hundredths of a second: SQLite goes through its smallest index."""
LIVE = ""
"""In place of a snapshot's name."""


@contextmanager
def rows_of(session: Session, plan: Plan) -> Iterator[sqlite3.Connection]:
    """A connection to read the plan's rows on; TEXT values come as `values.Text`.

    Raises:
        SnapshotMissing: this machine has no access to them.
    """
    if plan.snapshot != LIVE:
        with opened(folder(session.settings), plan.snapshot, plan.id) as snapshot:
            yield snapshot
        return
    if not session.file.path.is_file():
        message = (
            f"{session.file.path} is not here; set MIGRATION_SNAPSHOT_DIR to work on machines without it"
        )
        raise SnapshotMissing(message)
    with closing(session.file.open()) as connection:
        yield connection


def is_there(session: Session, plan: Plan) -> bool:
    """Whether the plan can go on here."""
    return plan.snapshot == LIVE or (folder(session.settings) / plan.snapshot).is_file()


def log_end(connection: sqlite3.Connection, plan: Plan) -> int:
    """A number of the log that no row read on `connection`, one of `rows_of`, is younger than.

    Raises:
        Blocked: capture is not whole.
        Refused: the file is not the truth any more.
    """
    if plan.snapshot != LIVE:
        return int(connection.execute("SELECT read_to FROM snapshot").fetchone()[0])
    with transaction(connection, "BEGIN"):
        return usable(connection).last_seq


def live_or_snapshot(session: Session, plan_id: str) -> Snapshot:
    """What a plan reads. See `snapshot.take` for what it raises."""
    if session.settings.migration_snapshot_dir:
        return take(session.file, folder(session.settings), plan_id)
    with session.file.snapshot() as connection:
        seen = usable(connection)
        first, last = connection.execute(f"SELECT min(id), max(id) FROM {TABLE}").fetchone()  # noqa: S608
    with closing(session.file.open()) as connection:
        rows = 0 if first is None else _count(connection, first, last)
    return Snapshot(
        LIVE, seen.state.epoch, seen.state.file_id or "", seen.last_seq, rows, first or 0, last or 0
    )


def _count(connection: sqlite3.Connection, first: int, last: int) -> int:
    """How many rows there are, in short reads: a long one would keep writers waiting."""
    if last - first < _SMALL:
        return int(connection.execute(f"SELECT count(*) FROM {TABLE}").fetchone()[0])  # noqa: S608
    *full, rest = portions(connection, first, last, _COUNTED_AT_ONCE)
    return len(full) * _COUNTED_AT_ONCE + count(connection, *rest)
