"""Moving the phase within an epoch: `dual_write` to `copied`, `copied` to `verified` and back."""

from migration.capture import commit_durably, look
from migration.file_lock import write_lock
from migration.raw_file import RawFile


def move_phase(file: RawFile, epoch: int, allowed: tuple[str, ...], phase: str) -> str | None:
    """Set the phase in one file transaction that reads epoch and phase again.

    None when it is `phase` now (or was already); else, unchanged, what stands against it.
    """
    connection = file.open()
    try:
        commit_durably(connection)
        with write_lock(connection):
            seen = look(connection)
            if seen.state.epoch != epoch:
                return f"the file moved from epoch {epoch} to {seen.state.epoch}"
            if not seen.captured:
                return "; ".join(issue.message for issue in seen.issues)
            if seen.state.phase == phase:
                return None
            if seen.state.phase not in allowed:
                return f"the phase is {seen.state.phase} now"
            connection.execute("UPDATE migration_state SET phase = ? WHERE id = 1", (phase,))
    finally:
        connection.close()
    return None
