"""Taking back a rollback that could not be completed: PostgreSQL stays the truth, under a newer epoch."""

import sqlite3

from migration.answer import WARNING, Issue
from migration.follow_up import follow_all
from migration.session import Session
from service_kit.truth.undo import undo_rollback


def abandon_rollback(session: Session, epoch: int) -> list[Issue]:
    """Open both databases again after a rollback of `epoch` has fenced them; nothing when somebody moved on before."""
    try:
        undone = undo_rollback(session.file, epoch)
    except sqlite3.Error as error:
        message = f"The rollback could not be undone here ({error}); writers wait."
        return [
            Issue(
                "not_undone", WARNING, message, "The services undo it by themselves after UNDO_AFTER_SECONDS."
            )
        ]
    return follow_all(session, epoch + 2) if undone else []
