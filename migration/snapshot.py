"""A copy of the legacy table in a file of its own, which chunks read while the legacy file goes on changing.

It is taken in short reads of the live file, a portion of rows each: in SQLite's rollback modes a reader keeps writers
from committing, in WAL mode a long one keeps the log from being reset. So it is not one moment of the file. It need
not be: `seq` is the log's number from before the first portion, and whatever changes after that is in the log behind
`seq`, where the appliers (and verify's second look) find it.

The copy's columns have no affinity, so that every value keeps its storage class.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from migration.answer import refused
from migration.batch import Blocked
from migration.capture import FileLook, look
from migration.file_schema import TABLE
from migration.raw_file import RawFile
from migration.values import COLUMNS, Text
from service_kit.settings import Settings
from service_kit.truth.legacy_file import LEGACY, transaction

PORTION_SECONDS = 0.04
"""How long one read of the live file should take."""
_FIRST_PORTION, _LARGEST_PORTION = 2_000, 100_000
_NAMES = ", ".join(COLUMNS)
_SUFFIX, _DRAFT_SUFFIX = ".sqlite", ".draft"
_DRAFT_SECONDS = 3600.0


@dataclass(frozen=True)
class Snapshot:
    """`name`: file in the snapshot folder; `epoch`, `file_id`: the legacy file's; `seq`: see above; `rows`: how many.

    `first_key` and `last_key` are 0 when there are no rows.
    """

    name: str
    epoch: int
    file_id: str
    seq: int
    rows: int
    first_key: int
    last_key: int


class SnapshotMissing(Exception):
    """The plan's snapshot cannot be read here."""


def folder(settings: Settings) -> Path:
    """Where snapshots are: MIGRATION_SNAPSHOT_DIR, else beside the legacy file."""
    return Path(settings.migration_snapshot_dir or f"{settings.legacy_sqlite_path}.migration")


def take(file: RawFile, where: Path, plan_id: str) -> Snapshot:
    """Copy the table as it is now to `where`, readable by this account only: it holds password hashes.

    Raises:
        Blocked: capture is not whole.
        Refused: the file is not the truth, or moved to another epoch meanwhile.
    """
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = where / f"{plan_id}{_DRAFT_SUFFIX}"
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with closing(file.open()) as connection:
            seen = _copy(connection, draft, plan_id)
        _sync(draft)
        final = where / f"{plan_id}{_SUFFIX}"
        draft.rename(final)
        _sync(where)
    finally:
        draft.unlink(missing_ok=True)
    with opened(where, final.name, plan_id) as snapshot:
        rows, first, last = snapshot.execute(f"SELECT count(*), min(id), max(id) FROM {TABLE}").fetchone()  # noqa: S608
    return Snapshot(
        final.name, seen.state.epoch, seen.state.file_id or "", seen.last_seq, rows, first or 0, last or 0
    )


@contextmanager
def opened(where: Path, name: str, plan_id: str) -> Iterator[sqlite3.Connection]:
    """A read-only connection whose TEXT values come as `values.Text`.

    Raises:
        SnapshotMissing: it is not there, or not this plan's.
    """
    path = where / name
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?immutable=1", uri=True, isolation_level=None
        )
        with closing(connection):
            owner = connection.execute("SELECT plan_id FROM snapshot").fetchone()[0]
            if owner != plan_id:
                raise SnapshotMissing(f"{path} belongs to plan {owner}, not to {plan_id}")
            connection.text_factory = Text
            yield connection
    except sqlite3.OperationalError as error:
        if path.is_file():
            raise
        raise SnapshotMissing(
            f"{path} is not there; mount the snapshot folder (MIGRATION_SNAPSHOT_DIR)"
        ) from error


def remove_others(where: Path, keep: set[str], older_than_seconds: float = 0.0) -> list[str]:
    """Delete snapshots except `keep` that are older, and drafts that nobody has touched for an hour; their names."""
    gone = []
    for path in sorted(where.glob("*")) if where.is_dir() else ():
        with suppress(FileNotFoundError):
            age = time.time() - path.stat().st_mtime
            abandoned = path.suffix == _DRAFT_SUFFIX and age > _DRAFT_SECONDS
            if abandoned or (path.suffix == _SUFFIX and path.name not in keep and age >= older_than_seconds):
                path.unlink()
                gone.append(path.name)
    return gone


def _copy(connection: sqlite3.Connection, draft: Path, plan_id: str) -> FileLook:
    connection.execute("ATTACH ? AS copy", (draft.absolute().as_uri(),))
    for pragma in ("journal_mode = OFF", "synchronous = OFF"):
        connection.execute(f"PRAGMA copy.{pragma}")
    connection.execute("CREATE TABLE copy.snapshot (plan_id, seq, read_to)")
    connection.execute(
        f"CREATE TABLE copy.{TABLE} (id INTEGER PRIMARY KEY, email, password, name, created_at)"
    )
    with transaction(connection, "BEGIN"):
        began = usable(connection)
        connection.execute("INSERT INTO copy.snapshot VALUES (?, ?, NULL)", (plan_id, began.last_seq))
    _copy_rows(connection)
    with transaction(connection, "BEGIN"):
        ended = usable(connection)
    if ended.state != began.state:
        raise refused("phase_moved", "The file changed its phase while it was being copied.", "Run it again.")
    connection.execute("UPDATE copy.snapshot SET read_to = ?", (ended.last_seq,))
    return began


def _copy_rows(connection: sqlite3.Connection) -> None:
    """In portions by key, each a transaction of its own, as large as PORTION_SECONDS allow."""
    portion, after = _FIRST_PORTION, None
    while True:
        began = time.monotonic()
        where, values = ("", ()) if after is None else ("WHERE id > ?", (after,))
        added = connection.execute(
            f"INSERT INTO copy.{TABLE} SELECT {_NAMES} FROM main.{TABLE} {where} ORDER BY id LIMIT ?",  # noqa: S608
            (*values, portion),
        ).rowcount
        if added < portion:
            return
        after = connection.execute(f"SELECT max(id) FROM copy.{TABLE}").fetchone()[0]  # noqa: S608
        wanted = portion * PORTION_SECONDS / max(time.monotonic() - began, 1e-6)
        portion = int(min(max(wanted, portion / 4, 50), portion * 4, _LARGEST_PORTION))


def usable(connection: sqlite3.Connection) -> FileLook:
    """The file as the transaction sees it.

    Raises:
        Blocked: capture is not whole.
        Refused: nothing is captured, or PostgreSQL is the truth.
    """
    seen = look(connection)
    if seen.state.phase == LEGACY or not seen.state.file_is_truth:
        raise refused(
            "not_its_turn", f"The phase is {seen.state.phase}: there is nothing to copy from the file."
        )
    if not seen.captured:
        raise Blocked(*seen.issues)
    return seen


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
