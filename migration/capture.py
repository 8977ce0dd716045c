"""Capture on the legacy file: install it, look whether it is all there, and put up and take down the fence.

`look` is what every reader of the log calls in its own snapshot: a table that was rebuilt (the usual way to alter a
table in SQLite) has silently lost its triggers, and a new unique index has victims that nobody logs.
"""

import sqlite3
import uuid
from dataclasses import dataclass

from migration.answer import ERROR, Issue, Refused, refused
from migration.file_lock import write_lock
from migration.file_schema import TABLE, read_schema, text
from migration.triggers import CAPTURE_PREFIX, FENCE_PREFIX, capture_triggers, fence_triggers
from service_kit.steps import step
from service_kit.truth.legacy_file import (
    DUAL_WRITE,
    FINISHED,
    LEGACY,
    FileState,
    LegacyFile,
    read_state,
)

_TABLES = (
    "CREATE TABLE IF NOT EXISTS migration_state (id INTEGER PRIMARY KEY CHECK (id = 1), file_id TEXT NOT NULL,"
    " epoch INTEGER NOT NULL, phase TEXT NOT NULL, applying INTEGER NOT NULL DEFAULT 0)",
    # AUTOINCREMENT: a number that was given is never given again, also when the log has been emptied.
    # `at`: seconds since 1970, for the lag and for the time of the events that follow from a change.
    "CREATE TABLE IF NOT EXISTS migration_log (seq INTEGER PRIMARY KEY AUTOINCREMENT, key INTEGER NOT NULL,"
    " kept_token TEXT, op TEXT NOT NULL DEFAULT 'u',"
    " at REAL NOT NULL DEFAULT ((julianday('now') - 2440587.5) * 86400.0))",
)


@dataclass(frozen=True)
class FileLook:
    """The file as one transaction sees it. `last_seq`: the highest log number ever given. `issues`: what stops work."""

    state: FileState
    last_seq: int
    fenced: bool
    issues: tuple[Issue, ...]

    @property
    def captured(self) -> bool:
        """Every change of the file up to now is in its log, as far as the file itself can tell."""
        return not self.issues and self.state.phase != LEGACY


def look(connection: sqlite3.Connection) -> FileLook:
    """Look at state, log and triggers in the connection's present transaction."""
    state = read_state(connection)
    present = _present_triggers(connection)
    fenced = all(present.get(name) == sql for name, sql in fence_triggers().items())
    if state.phase == LEGACY:
        return FileLook(state, 0, fenced, ())
    return FileLook(state, last_seq(connection), fenced, tuple(_faults(connection, state, present, fenced)))


def last_seq(connection: sqlite3.Connection) -> int:
    """The highest log number ever given, 0 when none was."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'migration_log'").fetchone()
    return int(row[0]) if row else 0


def highest_id(connection: sqlite3.Connection) -> int:
    """The highest user id that the file has ever given or holds now."""
    given = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (TABLE,)).fetchone()
    held = connection.execute(f"SELECT max(id) FROM {TABLE}").fetchone()[0]  # noqa: S608
    return max(given[0] if given and given[0] is not None else 0, held if held is not None else 0)


def commit_durably(connection: sqlite3.Connection) -> None:
    """For connections that commit a change of the truth: also sync the folder, so that a rollback journal is gone."""
    connection.execute("PRAGMA synchronous = EXTRA")


@dataclass(frozen=True)
class Installed:
    """`how`: "installed", "present" (nothing to do) or "repaired" (some triggers were gone: verify again)."""

    state: FileState
    how: str


def install(file: LegacyFile) -> Installed:
    """Put log, state and capture triggers into the file in one transaction; repair them when some are gone.

    A repair moves the epoch by two and the phase back to `dual_write`: rows may have changed unseen, so every batch
    and every verification that began before it is void.

    Raises:
        Refused: the table cannot be captured, or PostgreSQL is the truth already.
    """
    connection = file.open()
    try:
        commit_durably(connection)
        with write_lock(connection):
            return _install(connection)
    finally:
        connection.close()


def _install(connection: sqlite3.Connection) -> Installed:
    schema = read_schema(connection)
    if schema.problems:
        raise Refused(*schema.problems, next_steps=("flask migration doctor",))
    seen = look(connection)
    if not seen.state.file_is_truth:
        raise refused(
            "not_its_turn",
            f"The phase is {seen.state.phase}: PostgreSQL is the truth already.",
            "",
            "flask migration status",
        )
    if seen.captured:
        return Installed(seen.state, "present")
    how = "installed" if seen.state.phase == LEGACY else "repaired"
    for statement in _TABLES:
        connection.execute(statement)
    if how == "installed":
        connection.execute(
            "INSERT INTO migration_state (id, file_id, epoch, phase) VALUES (1, ?, 0, ?)",
            (str(uuid.uuid4()), DUAL_WRITE),
        )
    else:
        connection.execute(
            "UPDATE migration_state SET epoch = epoch + 2, phase = ?, applying = 0", (DUAL_WRITE,)
        )
    lower_fence(connection)
    renew_capture(connection)
    state = read_state(connection)
    step("dual_write.before_commit")
    return Installed(state, how)


def renew_capture(connection: sqlite3.Connection) -> None:
    """Capture triggers that fit the table as it is now, in the caller's transaction."""
    _drop_triggers(connection, CAPTURE_PREFIX)
    for statement in capture_triggers(read_schema(connection).unique).values():
        connection.execute(statement)


def raise_fence(connection: sqlite3.Connection) -> None:
    """Every later write to the table is refused by the file itself. Part of the caller's transaction."""
    lower_fence(connection)
    for statement in fence_triggers().values():
        connection.execute(statement)


def lower_fence(connection: sqlite3.Connection) -> None:
    """Take the fence down, in the caller's transaction."""
    _drop_triggers(connection, FENCE_PREFIX)


def drop_capture(connection: sqlite3.Connection) -> None:
    """Take triggers and log away for good, in the caller's transaction. State row and fence stay."""
    _drop_triggers(connection, CAPTURE_PREFIX)
    connection.execute("DROP TABLE IF EXISTS migration_log")


def _faults(
    connection: sqlite3.Connection, state: FileState, present: dict[str, str], fenced: bool
) -> list[Issue]:
    schema = read_schema(connection)
    faults = list(schema.problems)
    if not state.file_is_truth and not fenced:
        message = "The fence is gone: programs can write to the old file again."
        again = "finish" if state.phase == FINISHED else "cutover"
        faults.append(Issue("fence_missing", ERROR, message, f"flask migration {again} puts it up again."))
    if state.phase == FINISHED:
        return faults
    wanted = capture_triggers(schema.unique)
    gone = [name for name in wanted if name not in present]
    if len(gone) == len(wanted):
        faults.append(_fault("capture_missing", "All capture triggers are gone: changes are not logged."))
    elif gone or any(present[name] != wanted[name] for name in wanted):
        faults.append(
            _fault("capture_outdated", "The capture triggers do not fit the table: changes may be missed.")
        )
    if state.file_is_truth and any(name.startswith(FENCE_PREFIX) for name in present):
        faults.append(_fault("fence_left", "Fence triggers are there although the file is the truth."))
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'migration_log'").fetchone():
        faults.append(_fault("log_missing", "The log table is gone."))
    return faults


def _fault(code: str, message: str) -> Issue:
    return Issue(
        code, ERROR, message, "flask migration dual-write installs what is missing; verify again after it."
    )


def _present_triggers(connection: sqlite3.Connection) -> dict[str, str]:
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = ?"
        " AND name LIKE 'migration!_%' ESCAPE '!'",
        (TABLE,),
    )
    return {text(name): text(sql) for name, sql in rows}


def _drop_triggers(connection: sqlite3.Connection, prefix: str) -> None:
    for name in _present_triggers(connection):
        if name.startswith(prefix):
            connection.execute(f"DROP TRIGGER {name}")
