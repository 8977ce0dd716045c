"""Where the migration stands: everything that `flask migration status` shows, as one dict.

Each part is looked at by itself. What cannot be reached becomes an issue, and the rest is still shown.
"""

import sqlite3
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from migration.answer import ERROR, INFO, WARNING, Answer, Issue
from migration.capture import FileLook, look
from migration.file_place import going_on_without, reachable_rows, stranger
from migration.history import Control, read_control
from migration.plan import RUNNING, get
from migration.progress import read
from migration.reverse_log import waiting
from migration.session import Session
from service_kit.truth.legacy_file import CUTOVER, FINISHED, LEGACY
from service_kit.truth.phase import read_phase

_NEXT = {
    "legacy": "flask migration dual-write",
    "dual_write": "flask migration copy",
    "copied": "flask migration verify",
    "verified": "flask migration cutover --dry-run",
    "cutover": "flask migration finish, or flask migration rollback",
    "finished": "",
}

_PLANS = """
SELECT DISTINCT ON (plan.kind) plan.kind, plan.id, plan.state, plan.rows, plan.created_at, plan.finished_at, done.*
FROM plans plan, LATERAL (
    SELECT count(*) AS chunks, count(*) FILTER (WHERE state = 'done') AS chunks_done,
        COALESCE(sum(rows) FILTER (WHERE state = 'done'), 0)::bigint AS rows_done,
        COALESCE(sum(differences), 0)::bigint AS differences
    FROM chunks WHERE chunks.plan_id = plan.id) done
ORDER BY plan.kind, plan.created_at DESC
"""


def collect(session: Session, *, count_rows: bool = True) -> Answer:
    """The state now; `ok` is False when something has to be mended. `count_rows` counts the accounts on all sides."""
    answer = Answer("status", True, "unknown")
    seen = _part(answer, "the legacy file", lambda: _file(session, answer))
    if seen is None:
        _without_file(session, answer)
    else:
        step = _NEXT.get(seen.state.phase)
        answer.next_steps = [step] if step else []
        answer.data["databases"] = {
            side.name: _part(answer, side.name, partial(_database, session, engine, side.name, seen, answer))
            for side, engine in session.targets.items()
        }
        if count_rows and seen.state.phase != LEGACY:
            answer.data["rows"] = _part(answer, "the accounts", lambda: _rows(session, answer.phase))
    answer.data |= _part(answer, "migration_db", lambda: _plans_and_control(session, answer)) or {}
    answer.ok = not any(issue.severity == ERROR for issue in answer.issues)
    return answer


def _part(answer: Answer, what: str, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause = getattr(error, "orig", None) or error
        message = f"{what} cannot be looked at: {str(cause).strip().splitlines()[0]}"
        answer.issues.append(Issue("unreachable", ERROR, message, "Is it running, and is its address right?"))
        return None


def _file(session: Session, answer: Answer) -> FileLook:
    with session.file.snapshot() as connection:
        seen = look(connection)
    answer.phase = seen.state.phase
    answer.issues += seen.issues
    answer.data |= {
        "epoch": seen.state.epoch,
        "file": str(session.file.path),
        "file_id": seen.state.file_id,
        "truth": "sqlite" if seen.state.file_is_truth else "postgresql",
        "captured": seen.captured and seen.state.phase != FINISHED,
        "fenced": seen.fenced,
        "log": seen.last_seq,
    }
    return seen


def _database(session: Session, engine: Engine, name: str, seen: FileLook, answer: Answer) -> dict[str, Any]:
    with engine.connect() as connection:
        row = read_phase(connection)
    found: dict[str, Any] = {"epoch": row.epoch, "fenced": row.fenced, "cursor": row.cursor}
    if row.epoch > seen.state.epoch:  # the file was looked at before the row
        problem = stranger(name, row, session.file.state())
    else:
        problem = stranger(name, row, seen.state)
    if problem:
        answer.issues.append(problem)
        answer.next_steps = ["put the newest copy of the file back, then flask migration status"]
        answer.data["truth"] = "postgresql" if row.accepts_writes else "unknown"
    elif row.is_behind(seen.state.epoch):
        message = f"{name} has not followed the file to epoch {seen.state.epoch} yet; its next request does."
        answer.issues.append(Issue("not_followed", INFO, message))
    if row.fenced and row.epoch == seen.state.epoch:
        message = f"{name} is fenced by a rollback that is under way, or was abandoned."
        answer.issues.append(
            Issue(
                "fenced",
                WARNING,
                message,
                "The services undo it by themselves; flask migration rollback completes it.",
            )
        )
    if seen.state.phase == CUTOVER or (problem and row.accepts_writes):
        found |= _reverse_lag(engine)
    elif seen.state.file_is_truth and seen.state.phase != LEGACY:
        found |= _lag(session, row.cursor)
    else:
        found |= {"lag_entries": 0, "lag_seconds": 0.0}
    return found


def _without_file(session: Session, answer: Answer) -> None:
    """What the databases know while the file cannot be looked at."""
    rows = reachable_rows(session)
    issue = going_on_without(rows)
    if issue:
        answer.issues.append(issue)
        answer.data["truth"] = "postgresql"
    answer.data["databases"] = {
        side.name: {"epoch": row.epoch, "fenced": row.fenced, "cursor": row.cursor} | _reverse_lag(engine)
        for side, engine in session.targets.items()
        if (row := rows.get(side.name))
    }
    answer.next_steps = ["put the newest copy of the file back, then flask migration status"]


def _reverse_lag(engine: Engine) -> dict[str, Any]:
    """Entries of a database that the file has not got, and the age of the oldest."""
    count, seconds = waiting(engine)
    return {"lag_entries": count, "lag_seconds": round(seconds, 3)}


def _lag(session: Session, cursor: int) -> dict[str, Any]:
    """Log entries that a database has not applied, and the age of the oldest."""
    with session.file.snapshot() as connection:
        count, oldest = connection.execute(
            "SELECT count(*), min(at) FROM migration_log WHERE seq > ?", (cursor,)
        ).fetchone()
    return {
        "lag_entries": count,
        "lag_seconds": 0.0 if oldest is None else round(max(0.0, time.time() - oldest), 3),
    }


def _rows(session: Session, phase: str) -> dict[str, Any]:
    """source = target + rejected, counted on both databases. Under traffic the sides are a moment apart; behind
    `finish` the file is not kept up, so nobody asks whether they are equal (`balanced` is None)."""
    with session.file.snapshot() as connection:
        source = connection.execute("SELECT count(*) FROM users").fetchone()[0]
    users, rejected, accepted = _counts(session.user, "users WHERE status = 'active'")
    credentials, _, _ = _counts(session.auth, "user_credentials")
    return {
        "source": source,
        "user_db": users,
        "auth_db": credentials,
        "rejected": rejected,
        "accepted": accepted,
        "balanced": None if phase == FINISHED else source == users + rejected == credentials + rejected,
    }


def _counts(engine: Engine, table: str) -> tuple[int, int, int]:
    with engine.connect() as connection:
        row = connection.exec_driver_sql(
            f"SELECT (SELECT count(*) FROM {table}), count(*), count(accepted_at) FROM migration_rejects"  # noqa: S608
        ).one()
    return row[0], row[1], row[2]


def _plans_and_control(session: Session, answer: Answer) -> dict[str, Any]:
    control = read_control(session.migration)
    with session.migration.connect() as connection:
        plans = connection.exec_driver_sql(_PLANS).mappings().all()
    if control.paused_at is not None:
        message = f"Paused by {control.paused_by} since {control.paused_at:%Y-%m-%d %H:%M:%S}."
        answer.issues.append(Issue("paused", WARNING, message, "flask migration resume"))
    return {
        "paused": control.paused_at is not None,
        "throttle": control.throttle_reason,
        "plans": {plan["kind"]: _plan(session, dict(plan), control) for plan in plans},
    }


def _plan(session: Session, plan: dict[str, Any], control: Control) -> dict[str, Any]:
    """The newest pass of a kind; a running one with its speed and what holds it up."""
    if plan["state"] != RUNNING:
        return plan
    waits = f"paused by {control.paused_by}" if control.paused_at else control.throttle_reason
    lease_seconds = session.settings.migration_lease_seconds
    state = read(session.migration, get(session.migration, plan["id"]), lease_seconds, None, waits)
    return plan | {
        "rows_per_second": None if state.rate is None else round(state.rate),
        "seconds_left": None if state.seconds_left is None else round(state.seconds_left, 1),
        "workers": state.workers,
        "lacks_workers": state.lacks_workers,
        "words": state.words,
    }
