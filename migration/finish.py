"""Finish: no way back any more. Capture and log leave the file; the fence and the state row stay for ever, since the
old server may still run. Then the databases stop logging for the way back (docs/protocol.md, "Finish").
"""

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from migration.answer import Issue, refused
from migration.capture import commit_durably, drop_capture, raise_fence
from migration.file_lock import write_lock
from migration.file_rows import displaced
from migration.follow_up import follow_all
from migration.history import read_history
from migration.reverse import apply_reverse
from migration.session import Session
from service_kit.steps import step
from service_kit.truth.legacy_file import CUTOVER, FINISHED, read_state


@dataclass
class Finished:
    """`epoch` of the file now, where the report is, and what did not follow at once."""

    epoch: int
    report: str
    issues: list[Issue] = field(default_factory=list)


def finish(session: Session) -> Finished:
    """End the migration; complete an end that was interrupted.

    Raises:
        Refused: PostgreSQL is not the truth.
    """
    if session.file.state().phase == CUTOVER:
        apply_reverse(session)
    epoch = _commit(session)
    issues = follow_all(session, epoch)
    if not issues:
        for engine in session.targets.values():
            _end_reverse_capture(engine)
    step("finish.followed")
    return Finished(epoch, str(_report(session, epoch)), issues)


def _commit(session: Session) -> int:
    connection = session.file.open()
    try:
        commit_durably(connection)
        with write_lock(connection):
            state = read_state(connection)
            if state.phase == FINISHED:
                raise_fence(connection)  # somebody may have torn it down with the table
                return state.epoch
            if state.file_is_truth or state.phase != CUTOVER:
                raise refused(
                    "not_its_turn",
                    f"The phase is {state.phase}: users are still stored in the file.",
                    "Cut over first.",
                    "flask migration cutover",
                )
            raise_fence(connection)
            drop_capture(connection)
            connection.execute("UPDATE migration_state SET epoch = ?, phase = ?", (state.epoch + 2, FINISHED))
            step("finish.before_commit")
        step("finish.committed")
        return state.epoch + 2
    finally:
        connection.close()


def _end_reverse_capture(engine: Engine) -> None:
    """Own writes are no longer logged, and what was only needed for moving goes. Rejects stay as a record."""
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE migration_phase SET capture = false WHERE id = 1")
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM migration_reverse_log")
        connection.exec_driver_sql("TRUNCATE migration_versions, migration_chunks")


def _report(session: Session, epoch: int) -> Path:
    """Write what was moved beside the file, whole or not at all."""
    path = Path(f"{session.file.path}.migration-report.json")
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.write_text(json.dumps(_facts(session, epoch), indent=2, default=str) + "\n", encoding="utf-8")
    draft.replace(path)
    return path


def _facts(session: Session, epoch: int) -> dict[str, Any]:
    with session.file.snapshot() as connection:
        file_id = read_state(connection).file_id
        left_in_file = displaced(connection)
    return {
        "file": str(session.file.path),
        "file_id": file_id,
        "epoch": epoch,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "users": _one(session.user, "SELECT count(*) FROM users"),
        "credentials": _one(session.auth, "SELECT count(*) FROM user_credentials"),
        "highest_id_given": _one(session.user, "SELECT last_value FROM users_id_seq"),
        "moved_aside_in_file": left_in_file,
        "left_behind": _rejects(session.user),
        "history": [record.__dict__ for record in read_history(session.migration, 1000)],
    }


def _one(engine: Engine, statement: str) -> Any:
    with engine.connect() as connection:
        return connection.exec_driver_sql(statement).scalar_one()


def _rejects(engine: Engine) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT key, column_name, reason, accepted_at, accepted_by FROM migration_rejects ORDER BY key"
        )
        return [dict(row) for row in rows.mappings()]
