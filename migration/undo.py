"""Taking back a rollback that could not be completed: PostgreSQL stays the truth, under a newer epoch."""

from migration.answer import Issue
from migration.follow_up import follow_all
from migration.session import Session
from service_kit.truth.undo import undo_rollback


def abandon_rollback(session: Session, epoch: int) -> list[Issue]:
    """Open both databases again after a rollback of `epoch` has fenced them; nothing when somebody moved on before."""
    if undo_rollback(session.file, epoch):
        return follow_all(session, epoch + 2)
    return []
