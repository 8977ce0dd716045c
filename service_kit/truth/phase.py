"""The phase row of one PostgreSQL database: (epoch, fenced), which only ever moves forward.

Order: (e, open) < (e, fenced) < (e+1, open). Whoever writes holds PHASE_LOCK shared until its commit; whoever moves
the row takes it exclusively, so a move waits for the writers that saw the old row. The lock is taken in a statement
of its own: one taken in the same statement as the SELECT would read a snapshot older than the lock.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from service_kit.steps import step
from service_kit.truth.legacy_file import FileState

PHASE_LOCK = 0x4D470001
_SELECT = "SELECT epoch, fenced, cursor, capture, file_id FROM migration_phase WHERE id = 1"


@dataclass(frozen=True)
class PhaseRow:
    """`epoch`, `fenced`; `cursor`: last log entry of the file applied here; `capture`: own writes are logged;
    `file_id`: of the file that the database belongs to, None before `dual-write`."""

    epoch: int
    fenced: bool
    cursor: int
    capture: bool
    file_id: str | None = None

    @property
    def accepts_writes(self) -> bool:
        """PostgreSQL is the truth and no rollback has fenced this database."""
        return self.epoch % 2 == 1 and not self.fenced

    def is_behind(self, epoch: int) -> bool:
        """Whether `follow(epoch)` would move the row."""
        return (self.epoch, self.fenced) < (epoch, False)

    def disowns(self, state: FileState) -> str | None:
        """Why what lies in the legacy file's place is not the file that this database follows; None: it may well be.

        The file moves first, always. So a file whose epoch, read after this row, is the lower one has gone back in
        time. Another file is a stranger as soon as either side says that PostgreSQL is the truth.
        """
        if self.epoch > state.epoch:
            return f"it is at epoch {state.epoch}, the database at {self.epoch}: an older copy was put in its place"
        other = self.file_id is not None and self.file_id != state.file_id
        if other and (self.epoch % 2 == 1 or not state.file_is_truth):
            return "the database belongs to the migration of another file"
        return None


def read_phase(connection: Connection) -> PhaseRow:
    """The row as a new statement sees it. Without a lock it may be old by the time that it is used."""
    return PhaseRow(*connection.exec_driver_sql(_SELECT).one())


def lock_phase(connection: Connection) -> PhaseRow:
    """Take PHASE_LOCK shared until the transaction's end, then read the row.

    The two statements travel together; each still takes a snapshot of its own.
    """
    both = f"SELECT pg_advisory_xact_lock_shared({PHASE_LOCK}); {_SELECT}"
    return PhaseRow(*connection.exec_driver_sql(both).one())


def follow(engine: Engine, epoch: int) -> PhaseRow:
    """Move the row to (epoch, open), never back; anyone who has read `epoch` in the file may, however late."""
    step("truth.follow")
    return _advance(engine, epoch, fenced=False)


def fence(engine: Engine, epoch: int) -> PhaseRow:
    """Move the row to (epoch, fenced), never back: from then on nothing is written here at this epoch."""
    return _advance(engine, epoch, fenced=True)


def _advance(engine: Engine, epoch: int, *, fenced: bool) -> PhaseRow:
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({PHASE_LOCK})")
        connection.exec_driver_sql(
            "UPDATE migration_phase SET epoch = %(epoch)s, fenced = %(fenced)s"
            " WHERE id = 1 AND (epoch, fenced) < (%(epoch)s, %(fenced)s)",
            {"epoch": epoch, "fenced": fenced},
        )
        return read_phase(connection)
