"""Dual write: from here on every change of the legacy file is captured and brought to PostgreSQL.

`start` installs capture and binds both databases to the file. `resync` takes the file as it stands after something went
back in time, a file or a database put back from a backup: the order of changes is lost then, so everything has to be
verified again.
"""

import sqlite3
from dataclasses import dataclass, field

from sqlalchemy import Connection

from migration.answer import ERROR, Issue, Refused, refused
from migration.capture import Installed, commit_durably, install, last_seq, look
from migration.catch_up import read_cursors
from migration.file_lock import write_lock
from migration.session import Session
from migration.sides import Side
from service_kit.steps import step
from service_kit.truth.legacy_file import DUAL_WRITE, LEGACY, FileState
from service_kit.truth.phase import follow


@dataclass
class Started:
    """`how`: see `capture.Installed`; `state`: the file's state row now."""

    state: FileState
    how: str
    issues: list[Issue] = field(default_factory=list)


def start(session: Session) -> Started:
    """Install what is missing in the file, then bind the databases to it.

    Raises:
        Refused: the table cannot be captured, PostgreSQL is the truth, or a database is not fresh.
    """
    refuse_strangers(session)
    installed: Installed = install(session.file)
    step("dual_write.committed")
    for engine in session.targets.values():
        follow(engine, installed.state.epoch)
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE migration_phase SET file_id = %s, capture = true WHERE id = 1",
                (installed.state.file_id,),
            )
    return Started(installed.state, installed.how)


def resync(session: Session) -> Started:
    """Take the file as the truth that it is, whatever the databases have seen: a new epoch, log numbers and cursors
    past each other, phase `dual_write`, everything to be verified again.

    Raises:
        Refused: PostgreSQL is the truth, or nothing is installed.
    """
    refuse_strangers(session)
    cursors = read_cursors(session.targets)
    connection = session.file.open()
    try:
        commit_durably(connection)
        with write_lock(connection):
            state = look(connection).state
            if not state.file_is_truth or state.phase == LEGACY:
                raise refused("not_its_turn", f"The phase is {state.phase}.", "", "flask migration status")
            end = max(last_seq(connection), *cursors.values())
            _restart_log(connection, end)
            connection.execute("UPDATE migration_state SET epoch = epoch + 2, phase = ?", (DUAL_WRITE,))
            now = FileState(state.epoch + 2, DUAL_WRITE, state.file_id)
    finally:
        connection.close()
    for engine in session.targets.values():
        follow(engine, now.epoch)
        with engine.begin() as database:
            database.exec_driver_sql(
                "UPDATE migration_phase SET cursor = GREATEST(cursor, %s) WHERE id = 1", (end,)
            )
    return Started(now, "resynced")


def _restart_log(connection: sqlite3.Connection, end: int) -> None:
    """Forget the entries, whose numbers mean nothing any more; the next one gets a number above `end`."""
    connection.execute("DELETE FROM migration_log")
    connection.execute("DELETE FROM sqlite_sequence WHERE name = 'migration_log'")
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('migration_log', ?)", (end,))


def refuse_strangers(session: Session) -> None:
    """Raises Refused for a database that holds the users of another file, or users without any file."""
    state = session.file.state()
    issues = []
    for side, engine in session.targets.items():
        with engine.connect() as connection:
            problem = _stranger(connection, side, state)
        if problem:
            issues.append(problem)
    if issues:
        raise Refused(*issues, next_steps=("flask migration doctor",))


def _stranger(connection: Connection, side: Side, state: FileState) -> Issue | None:
    bound, epoch = connection.exec_driver_sql("SELECT file_id, epoch FROM migration_phase WHERE id = 1").one()
    if bound is not None and bound == state.file_id:
        return file_behind(side.name, epoch, state) if epoch > state.epoch else None
    if bound is not None:
        return Issue(
            "other_file",
            ERROR,
            f"{side.name} belongs to the migration of another file.",
            "Point LEGACY_SQLITE_PATH at that file, or use fresh databases.",
        )
    if side.is_empty(connection) and epoch <= state.epoch:
        return None
    return Issue(
        "target_not_empty",
        ERROR,
        f"{side.name} is in use already (epoch {epoch}), and not by a migration of this file.",
        "Use fresh databases: make reset, or new ones of your own.",
    )


def file_behind(database: str, epoch: int, state: FileState) -> Issue:
    """The finding for a database that has followed the file further than the file itself has got."""
    return Issue(
        "file_behind",
        ERROR,
        f"{database} is at epoch {epoch}, the file only at {state.epoch}: the file was put back from an older copy.",
        "Stop everything that writes and put the newest copy of the file back; see the runbook.",
    )
