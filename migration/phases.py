"""The phases before the cutover, which say how far the copy is: moved in the file, by whoever has done the work.

No safety rests on them: they keep an operator from cutting over to a copy that is not complete and compared.
"""

from migration.answer import refused
from migration.batch import Blocked
from migration.capture import commit_durably, look
from migration.session import Session
from service_kit.truth.legacy_file import FileState, transaction


def advance(session: Session, epoch: int, frm: tuple[str, ...], to: str) -> FileState:
    """Move the file's phase to `to` when it is one of `frm`, at the `epoch` at which the work began.

    Raises:
        Refused: the epoch or the phase is another one now; what was done counts for nothing.
        Blocked: capture is not whole.
    """
    connection = session.file.open()
    try:
        commit_durably(connection)
        with transaction(connection, "BEGIN IMMEDIATE"):
            seen = look(connection)
            if seen.issues:
                raise Blocked(*seen.issues)
            if seen.state.epoch != epoch or seen.state.phase not in (*frm, to):
                raise refused("moved_on", f"The file is at epoch {seen.state.epoch}, {seen.state.phase} now.")
            connection.execute("UPDATE migration_state SET phase = ?", (to,))
            return FileState(epoch, to, seen.state.file_id)
    finally:
        connection.close()
