"""Where the chunks of a plan read the legacy rows: the snapshot that the plan names, or the legacy file itself.

A copy always has a snapshot. A verification reads the file, in reads as short as those that take a snapshot, unless
MIGRATION_SNAPSHOT_DIR says that workers on other machines share the work: they have no file.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from migration.file_schema import TABLE
from migration.plan import Plan
from migration.session import Session
from migration.snapshot import Snapshot, SnapshotMissing, folder, opened, take, usable

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
            f"{session.file.path} is not here; set MIGRATION_SNAPSHOT_DIR to verify on machines without it"
        )
        raise SnapshotMissing(message)
    with closing(session.file.open()) as connection:
        yield connection


def is_there(session: Session, plan: Plan) -> bool:
    """Whether the plan can go on here."""
    return plan.snapshot == LIVE or (folder(session.settings) / plan.snapshot).is_file()


def live_or_snapshot(session: Session, plan_id: str) -> Snapshot:
    """What a verification reads. See `snapshot.take` for what it raises."""
    if session.settings.migration_snapshot_dir:
        return take(session.file, folder(session.settings), plan_id)
    with session.file.snapshot() as connection:
        seen = usable(connection)
        rows = connection.execute(f"SELECT count(*) FROM {TABLE}").fetchone()[0]  # noqa: S608
    return Snapshot(LIVE, seen.state.epoch, seen.state.file_id or "", seen.last_seq, rows, 0, 0)
