"""Dual write: from here on every change of the legacy file is captured and brought to PostgreSQL.

`start` installs capture and binds both databases to the file. `resync` takes the file as it stands after something went
back in time, a file or a database put back from a backup: the order of changes is lost then, so everything has to be
verified again.
"""

import sqlite3
from dataclasses import dataclass, field

from sqlalchemy import Engine

from migration.answer import ERROR, Issue, Refused, refused
from migration.capture import Installed, commit_durably, install, last_seq, look
from migration.catch_up import read_cursors
from migration.file_lock import write_lock
from migration.file_place import file_behind, reachable_rows, stranger
from migration.session import Session
from migration.sides import Side
from service_kit.steps import step
from service_kit.truth.legacy_file import DUAL_WRITE, LEGACY, FileState
from service_kit.truth.phase import PhaseRow, follow, read_phase


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
    epochs = _epochs_that_may_be_passed(session)
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
            now = FileState(max(state.epoch, *epochs) + 2, DUAL_WRITE, state.file_id)
            connection.execute("UPDATE migration_state SET epoch = ?, phase = ?", (now.epoch, DUAL_WRITE))
    finally:
        connection.close()
    for engine in session.targets.values():
        follow(engine, now.epoch)
        with engine.begin() as database:
            database.exec_driver_sql(
                "UPDATE migration_phase SET cursor = GREATEST(cursor, %s) WHERE id = 1", (end,)
            )
    return Started(now, "resynced")


def _epochs_that_may_be_passed(session: Session) -> list[int]:
    """Of both databases. One at an even epoch holds nothing that it does not have from the file, so an older copy may
    overtake it; one that PostgreSQL's writes went to stays the truth."""
    rows = reachable_rows(session)
    state = session.file.state()
    found = [stranger(name, row, state) for name, row in rows.items() if row.file_id != state.file_id]
    found += [
        file_behind(name, row, state)
        for name, row in rows.items()
        if row.epoch > state.epoch and row.epoch % 2
    ]
    issues = [issue for issue in found if issue]
    if issues:
        raise Refused(*issues, next_steps=("flask migration doctor",))
    return [row.epoch for row in rows.values()]


def _restart_log(connection: sqlite3.Connection, end: int) -> None:
    """Forget the entries, whose numbers mean nothing any more; the next one gets a number above `end`."""
    connection.execute("DELETE FROM migration_log")
    connection.execute("DELETE FROM sqlite_sequence WHERE name = 'migration_log'")
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('migration_log', ?)", (end,))


def refuse_strangers(session: Session) -> None:
    """Raises Refused for a database that holds the users of another file, or users without any file."""
    rows = {side: _look(side, engine) for side, engine in session.targets.items()}
    state = session.file.state()
    found = [
        stranger(side.name, row, state) or _in_use(side, row, empty, state)
        for side, (row, empty) in rows.items()
    ]
    issues = [issue for issue in found if issue]
    if issues:
        raise Refused(*issues, next_steps=("flask migration doctor",))


def _look(side: Side, engine: Engine) -> tuple[PhaseRow, bool]:
    """The phase row, and whether there are no accounts."""
    with engine.connect() as connection:
        return read_phase(connection), side.is_empty(connection)


def _in_use(side: Side, row: PhaseRow, empty: bool, state: FileState) -> Issue | None:
    if row.file_id is not None or (empty and row.epoch <= state.epoch):
        return None
    return Issue(
        "target_not_empty",
        ERROR,
        f"{side.name} is in use already (epoch {row.epoch}), and not by a migration of this file.",
        "Use fresh databases: make reset, or new ones of your own.",
    )
