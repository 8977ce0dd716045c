"""What is left to do after the file has committed a change of the truth. Anyone may do it, and doing it twice is safe:
the databases follow the file, and whoever stands still is moved by the first service that meets the fence."""

from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from migration.answer import WARNING, Issue
from migration.session import Session, impatient
from migration.sides import Side
from service_kit.truth.phase import PhaseRow, follow, read_phase

_PATIENCE_SECONDS = 3.0


def phase_rows(session: Session) -> dict[str, PhaseRow]:
    """The phase row of each database, by its name."""
    rows = {}
    for side, engine in session.targets.items():
        with engine.connect() as connection:
            rows[side.name] = read_phase(connection)
    return rows


def _follow_one(session: Session, side: Side, epoch: int) -> Issue | None:
    """One database to (epoch, open). One that is away, or held by a stuck writer, is only worth a warning."""
    try:
        with impatient(session, _PATIENCE_SECONDS) as quick:
            follow(quick.targets[side], epoch)
    except SQLAlchemyError as error:
        return Issue(
            "not_followed",
            WARNING,
            f"{side.name} has not followed yet ({type(error).__name__}). The move itself is committed.",
            "Nothing: the first request that needs the database moves it. Running the command again does too.",
        )
    return None


def follow_all(session: Session, epoch: int, tried: Callable[[Side], None] = lambda _: None) -> list[Issue]:
    """Both databases to (epoch, open), `tried` called after each; what did not follow."""
    issues = []
    for side in session.targets:
        issue = _follow_one(session, side, epoch)
        issues += [issue] if issue else []
        tried(side)
    return issues
