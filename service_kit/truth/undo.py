"""Undo of a rollback that was refused, abandoned or too slow: PostgreSQL stays the truth, under a newer epoch.

A fenced row is never opened in place: a late coordinator could still un-fence the file. Moving the file from e to
e + 2 lets every database follow to (e + 2, open), and every late step of the rollback of epoch e finds another epoch.
"""

from service_kit.steps import step
from service_kit.truth.legacy_file import CUTOVER, LegacyFile, read_state, transaction


def undo_rollback(file: LegacyFile, epoch: int) -> bool:
    """Move the file from `epoch` (odd, phase cutover) to `epoch + 2`. False when somebody else moved it before."""
    connection = file.open()
    try:
        with transaction(connection, "BEGIN IMMEDIATE"):
            state = read_state(connection)
            if state.epoch != epoch or state.phase != CUTOVER or state.file_is_truth:
                return False
            connection.execute("UPDATE migration_state SET epoch = ? WHERE id = 1", (epoch + 2,))
            step("truth.undo.before_commit")
        step("truth.undo.committed")
        return True
    finally:
        connection.close()
