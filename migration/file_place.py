"""Is what lies in the legacy file's place the file that the databases have followed? (docs/protocol.md)"""

from collections.abc import Mapping

from sqlalchemy.exc import SQLAlchemyError

from migration.answer import ERROR, WARNING, Issue, Refused
from migration.session import Session
from service_kit.truth.legacy_file import FileState
from service_kit.truth.phase import PhaseRow, read_phase

_PUT_BACK = (
    "Stop everything that writes to it, put the newest copy of the file back, start the services again; "
    "see the runbook."
)


def stranger(database: str, row: PhaseRow, state: FileState) -> Issue | None:
    """The finding for a database that is bound to another file, or has followed this one further than it has got.

    `state` must have been read after `row`: the file moves first.
    """
    if row.file_id is None:
        return None
    if row.file_id != state.file_id:
        return other_file(database)
    if row.epoch > state.epoch:
        return file_behind(database, row, state)
    return None


def other_file(database: str) -> Issue:
    """The finding for a database whose users are another file's."""
    return Issue(
        "other_file",
        ERROR,
        f"{database} belongs to the migration of another file, or this is a copy from before dual-write.",
        "Point LEGACY_SQLITE_PATH at that file, or use fresh databases.",
    )


def file_behind(database: str, row: PhaseRow, state: FileState) -> Issue:
    """The finding for a file that was put back from an older copy."""
    where = (
        " PostgreSQL is the truth and the services go on there." if row.accepts_writes else
        " The services answer 503 until the file is back."
    )  # fmt: skip
    return Issue(
        "file_behind",
        ERROR,
        f"{database} is at epoch {row.epoch}, the file only at {state.epoch}: it was put back from an older copy."
        + where,
        _PUT_BACK,
    )


def refuse_older_copy(session: Session) -> None:
    """Raises Refused when the file is not the one that the databases have followed. What cannot be reached is left to
    the command."""
    rows = reachable_rows(session)
    state = session.file.state()
    found = [stranger(name, row, state) for name, row in rows.items()]
    issues = [issue for issue in found if issue]
    if issues:
        raise Refused(*issues, next_steps=("flask migration doctor",))


def going_on_without(rows: Mapping[str, PhaseRow]) -> Issue | None:
    """The finding beside a file that is missing or cannot be read, when PostgreSQL is the truth all the same."""
    if not rows or not all(row.accepts_writes for row in rows.values()):
        return None
    return Issue(
        "going_on_without_file",
        WARNING,
        "PostgreSQL is the truth, so the services go on without the file; there is no way back to it meanwhile.",
        "Put the newest copy of the file back; or give the way back up: LEGACY_SQLITE_PATH empty, services restarted.",
    )


def reachable_rows(session: Session) -> dict[str, PhaseRow]:
    """The phase row of each database that answers, by its name."""
    rows = {}
    for side, engine in session.targets.items():
        try:
            with engine.connect() as connection:
                rows[side.name] = read_phase(connection)
        except SQLAlchemyError:
            continue
    return rows
