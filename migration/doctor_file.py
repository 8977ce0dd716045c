"""Doctor's look at the legacy file: can it be read, written and trusted, and is there room beside it."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from migration.answer import ERROR, INFO, Issue
from migration.file_schema import text

OLDEST_SQLITE = (3, 35)
_MAGIC = b"SQLite format 3\0"
_LOCK_SECONDS = 2.0
_CHECK_SECONDS = {"wal": 30.0}
_CHECK_SECONDS_BLOCKING = 0.5
"""In a rollback mode a reader keeps writers from committing for as long as it reads."""
_INSTRUCTIONS_BETWEEN_LOOKS = 20_000
_LOG_BYTES = 64 << 20


def examine_file(path: Path, snapshots: Path | None, *, deep: bool) -> tuple[list[Issue], dict[str, Any]]:
    """Findings and facts about the file; `snapshots`: MIGRATION_SNAPSHOT_DIR, where one is set.

    An error among the findings means that nothing further can be looked at.
    """
    unusable = _unusable(path)
    if unusable is not None:
        return [unusable], {}
    facts: dict[str, Any] = {
        "file": str(path),
        "bytes": path.stat().st_size,
        "sqlite": sqlite3.sqlite_version,
    }
    issues = [*_permissions(path), *_room(path, snapshots)]
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_LOCK_SECONDS)
        ) as file:
            file.isolation_level = None
            facts["journal_mode"] = text(file.execute("PRAGMA journal_mode").fetchone()[0])
            facts["encoding"] = text(file.execute("PRAGMA encoding").fetchone()[0])
            issues += _lock(file)
            issues += _integrity(file, facts["journal_mode"], deep=deep)
            issues += _notes(facts)
    except sqlite3.Error as error:
        issues.append(_sqlite_error(error))
    return issues, facts


def _unusable(path: Path) -> Issue | None:
    if not path.exists():
        return Issue(
            "file_missing", ERROR, f"There is no file {path}.", "Set LEGACY_SQLITE_PATH to the right path."
        )
    if not path.is_file():
        return Issue(
            "file_missing", ERROR, f"{path} is not a file.", "Set LEGACY_SQLITE_PATH to the right path."
        )
    try:
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except OSError as error:
        return Issue(
            "file_unreadable", ERROR, f"{path} cannot be read: {error}.", "Give this account the right to."
        )
    if not head:
        return Issue(
            "file_empty", ERROR, f"{path} is empty.", "Set LEGACY_SQLITE_PATH to the file that is in use."
        )
    if head != _MAGIC:
        remedy = "Set LEGACY_SQLITE_PATH to the SQLite file (an encrypted or compressed one has to be unpacked first)."
        return Issue("not_sqlite", ERROR, f"{path} is not a SQLite file.", remedy)
    return None


def _permissions(path: Path) -> Iterator[Issue]:
    remedy = (
        "Give this account the right to write the file and its folder (SQLite keeps its journal beside it)."
    )
    if not os.access(path, os.W_OK):
        yield Issue("file_read_only", ERROR, f"{path} may not be written by this account.", remedy)
    elif not os.access(path.parent, os.W_OK):
        yield Issue(
            "file_read_only", ERROR, f"The folder {path.parent} may not be written by this account.", remedy
        )


def _room(path: Path, snapshots: Path | None) -> Iterator[Issue]:
    """The log and triggers need little; a snapshot is at most as large as the file."""
    if snapshots is None:
        place, wanted, purpose = path.parent, _LOG_BYTES, "the log of changes"
        remedy = "Make room."
    else:
        place, wanted = snapshots, int(path.stat().st_size * 1.2) + _LOG_BYTES
        purpose, remedy = (
            "a snapshot of the file",
            "Make room, or set MIGRATION_SNAPSHOT_DIR to a larger disk.",
        )
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < wanted:
        message = f"{free >> 20} MiB are free at {place}; {purpose} may need {wanted >> 20} MiB."
        yield Issue("disk_full", ERROR, message, remedy)
    if snapshots is not None and not os.access(place, os.W_OK):
        message = f"Snapshots go to {snapshots}, where this account may not write."
        remedy = "Set MIGRATION_SNAPSHOT_DIR to another folder, or give the right to."
        yield Issue("snapshots_read_only", ERROR, message, remedy)


def _lock(file: sqlite3.Connection) -> Iterator[Issue]:
    try:
        file.execute("BEGIN IMMEDIATE")
        file.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        yield _sqlite_error(error)


def _integrity(file: sqlite3.Connection, journal_mode: str, *, deep: bool) -> Iterator[Issue]:
    """SQLite's own check, for as long as it may take without holding up writers."""
    limit = None if deep else _CHECK_SECONDS.get(journal_mode, _CHECK_SECONDS_BLOCKING)
    deadline = time.monotonic() + (limit or 0)
    if limit is not None:
        file.set_progress_handler(lambda: time.monotonic() > deadline, _INSTRUCTIONS_BETWEEN_LOOKS)
    try:
        found = [text(row[0]) for row in file.execute("PRAGMA quick_check(5)")]
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        message = (
            f"The file's integrity was not checked to its end: that would take longer than {limit:.1f} s."
        )
        remedy = "flask migration doctor --deep does, at a quiet time; in rollback modes writers wait for it."
        yield Issue("integrity_unknown", INFO, message, remedy)
        return
    finally:
        file.set_progress_handler(None, 0)
    if found != ["ok"]:
        remedy = "Restore a good copy, or rebuild the file (sqlite3 users.db .recover) and look at what is missing."
        yield Issue("file_corrupt", ERROR, f"The file is damaged: {'; '.join(found)[:500]}", remedy)


def _sqlite_error(error: sqlite3.Error) -> Issue:
    message = str(error)
    if "locked" in message or "busy" in message:
        remedy = "Find the program that holds it (fuser FILE) and let it end its transaction."
        return Issue("file_locked", ERROR, f"The file was locked for {_LOCK_SECONDS:.0f} s.", remedy)
    if "readonly" in message or "read-only" in message:
        return Issue(
            "file_read_only", ERROR, f"The file cannot be written: {message}.", "Give the right to write it."
        )
    if "not a database" in message:
        return Issue(
            "not_sqlite", ERROR, f"Not a SQLite file: {message}.", "Set LEGACY_SQLITE_PATH to the right file."
        )
    return Issue("file_corrupt", ERROR, f"The file cannot be read: {message}.", "Restore a good copy.")


def _notes(facts: dict[str, Any]) -> Iterator[Issue]:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        message = (
            f"Python's SQLite is {sqlite3.sqlite_version}; {'.'.join(map(str, OLDEST_SQLITE))} is needed."
        )
        yield Issue("sqlite_too_old", ERROR, message, "Use a newer Python.")
    if facts["journal_mode"] != "wal":
        message = f"The journal mode is {facts['journal_mode']}: readers and writers of the file wait for each other."
        remedy = "PRAGMA journal_mode = WAL (kept by the file, needs no change of the old server) makes writes faster."
        yield Issue("journal_mode", INFO, message, remedy)
    if facts["encoding"] != "UTF-8":
        yield Issue(
            "encoding", INFO, f"The file's text is {facts['encoding']}; SQLite hands it out as UTF-8."
        )
