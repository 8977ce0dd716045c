"""What will go wrong, found before it does: each finding with a code and a remedy. Changes nothing.

Looks are independent: what cannot be looked at is a finding, and the rest is looked at anyway.
"""

import io
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from migration import doctor_values
from migration.answer import ERROR, Answer, Issue
from migration.doctor_file import examine_file
from migration.doctor_stores import examine_stores
from migration.doctor_table import examine_table
from migration.doctor_values import Scan, scan_values
from migration.extract import ROWS_AT_ONCE, parts
from migration.file_place import going_on_without, reachable_rows
from migration.pg_copy import copy_in
from migration.session import Session
from migration.sides import Side
from migration.snapshot import folder
from service_kit.truth.legacy_file import COPIED, DUAL_WRITE, LEGACY, VERIFIED

WORKERS = 2
_INDEX_SHARE = 1.3  # what building the email index and planning add
_NEXT = {
    LEGACY: "flask migration dual-write",
    DUAL_WRITE: "flask migration copy",
    COPIED: "flask migration verify",
}


def examine(session: Session, *, deep: bool = False) -> Answer:
    """Everything that can be known. `ok` is False when an error was found. `deep`: whole scans, however long."""
    answer = Answer("doctor", True, "unknown")
    path = Path(session.settings.legacy_sqlite_path)
    snapshots = folder(session.settings) if session.settings.migration_snapshot_dir else None
    issues, facts = examine_file(path, snapshots, deep=deep)
    answer.issues += issues
    answer.data |= facts
    readable = bool(facts) and not any(
        issue.code in ("not_sqlite", "file_corrupt", "file_locked") for issue in issues
    )
    if readable:
        readable = _table(session, answer)
    issues, facts = examine_stores(session, answer.phase)
    answer.issues += issues
    beside = None if readable else going_on_without(reachable_rows(session))
    answer.issues += [beside] if beside else []
    answer.data |= facts
    if readable and answer.phase in (LEGACY, DUAL_WRITE, COPIED, VERIFIED):
        _values(session, answer, deep)
    answer.ok = not any(issue.severity == ERROR for issue in answer.issues)
    step = _NEXT.get(answer.phase, "flask migration status")
    answer.next_steps = [step] if answer.ok else ["flask migration doctor, after mending the errors"]
    return answer


def _table(session: Session, answer: Answer) -> bool:
    """Whether the table is there with all its columns, so that its values can be looked at."""
    try:
        with session.file.snapshot() as connection:
            found = examine_table(connection)
        answer.phase = session.file.state().phase
    except sqlite3.Error as error:
        answer.issues.append(_unreadable(error))
        return False
    answer.issues += found
    return not any(issue.code in ("table_missing", "column_missing", "key_unusable") for issue in found)


def _values(session: Session, answer: Answer, deep: bool) -> None:
    try:
        scan = scan_values(session.file, whole=deep)
        answer.issues += doctor_values.findings(scan)
        answer.data["values"] = doctor_values.numbers(scan)
        answer.data["estimate"] = estimate(session, scan)
    except sqlite3.Error as error:
        answer.issues.append(_unreadable(error))


def estimate(session: Session, scan: Scan) -> dict[str, Any]:
    """How long copy and verify will take, from what a sample takes to be read, and to be loaded into each database."""
    if not scan.rate:
        return {}
    reading = 1 / scan.rate
    loading = 0.0
    try:
        for side in session.targets:
            loading += _load_seconds_per_row(session, side)
    except SQLAlchemyError:
        return {}
    copy = scan.rows * (reading + loading * _INDEX_SHARE) / WORKERS
    return {
        "copy_seconds": round(copy, 2),
        "verify_seconds": round(copy / 2, 2),
        "worker_processes": WORKERS,
        "rows_per_second": round(scan.rows / copy) if copy else None,
    }


def _load_seconds_per_row(session: Session, side: Side) -> float:
    """COPY of a sample into a temporary table with the same key, on the real server."""
    with session.file.snapshot() as connection:
        sample = next(parts(connection, -(2**63), 2**63 - 1, ROWS_AT_ONCE))
    text = sample.users if side.name == "user_db" else sample.credentials
    types = ", ".join(f"{name} {kind}" for name, kind in side.columns.items())
    with session.targets[side].connect() as target:
        target.exec_driver_sql(
            f"CREATE TEMP TABLE sample ({side.key} bigint PRIMARY KEY, {types}) ON COMMIT DROP"
        )
        began = time.monotonic()
        copy_in(target, "sample", (side.key, *side.columns), io.BytesIO(text))
        seconds = time.monotonic() - began
        target.rollback()
    return seconds / max(sample.rows, 1)


def _unreadable(error: sqlite3.Error) -> Issue:
    return Issue("file_corrupt", ERROR, f"The file cannot be read: {error}.", "Restore a good copy.")
