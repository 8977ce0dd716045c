"""Who did what, when, and what came of it; and the operator's pause. Both live in migration_db."""

import getpass
import json
import logging
import os
import socket
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from service_kit.truth.legacy_file import FileState

STARTED, DONE, REFUSED, FAILED = "started", "done", "refused", "failed"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """One line of the history. `detail` is what the command had to tell in numbers."""

    at: datetime
    actor: str
    action: str
    outcome: str
    phase: str
    epoch: int
    detail: dict[str, Any]


def actor() -> str:
    """Who is at work: MIGRATION_ACTOR, or the account and the machine."""
    try:
        account = getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in some containers
        account = str(os.getuid())
    return os.environ.get("MIGRATION_ACTOR") or f"{account}@{socket.gethostname()}"


def record(engine: Engine, action: str, outcome: str, state: FileState, **detail: Any) -> bool:
    """Append a line. False, and a log line, when migration_db is away: the work itself does not depend on it."""
    row = (actor(), action, outcome, state.phase, state.epoch, json.dumps(detail, default=str))
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO history (actor, action, outcome, phase, epoch, detail) VALUES (%s, %s, %s, %s, %s, %s)",
                row,
            )
    except SQLAlchemyError as error:
        log.warning("history not written (%s): %s", type(error).__name__, row[:5])
        return False
    return True


def read_history(engine: Engine, limit: int = 50) -> list[Record]:
    """The newest `limit` lines, oldest first."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT at, actor, action, outcome, phase, epoch, detail FROM history ORDER BY id DESC LIMIT %s",
            (limit,),
        ).all()
    return [Record(*row) for row in reversed(rows)]


def unfinished(engine: Engine, action: str) -> bool:
    """Whether the last line of `action` says that it started and none that it ended."""
    with engine.connect() as connection:
        last = connection.exec_driver_sql(
            "SELECT outcome FROM history WHERE action = %s ORDER BY id DESC LIMIT 1", (action,)
        ).scalar()
    return bool(last == STARTED)


@dataclass(frozen=True)
class Control:
    """The operator's pause and the throttle's last word; None: not paused, not throttled."""

    paused_at: datetime | None
    paused_by: str | None
    throttled_at: datetime | None
    throttle_reason: str | None


def read_control(engine: Engine) -> Control:
    """The control row now."""
    with engine.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT paused_at, paused_by, throttled_at, throttle_reason FROM control WHERE id = 1"
        ).one()
    return Control(*row)


def set_pause(engine: Engine, paused: bool) -> Control:
    """Pause or resume copying, verifying and repairing. Capture, drains and the way back go on."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE control SET paused_at = CASE WHEN %(on)s THEN COALESCE(paused_at, now()) END,"
            " paused_by = CASE WHEN %(on)s THEN COALESCE(paused_by, %(actor)s) END WHERE id = 1",
            {"on": paused, "actor": actor()},
        )
    return read_control(engine)
