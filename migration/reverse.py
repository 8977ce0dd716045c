"""The reverse applier: from the cutover on, the legacy file follows PostgreSQL, so that a rollback loses nothing.

PostgreSQL is read while the file's write lock is held. A reader that came first and wrote later could write an old row
over one that the file, the truth again after a rollback, has got since (docs/protocol.md, "Reverse applier").
"""

from dataclasses import dataclass

from migration.file_rows import write_accounts
from migration.reverse_log import ReverseView, count_entries, delete_entries, reverse_view
from migration.session import Session
from service_kit.steps import step
from service_kit.truth.legacy_file import CUTOVER, read_state


@dataclass(frozen=True)
class Reversed:
    """How many entries were applied, and to how many accounts. `active` False: it is not PostgreSQL's turn."""

    active: bool
    entries: int = 0
    accounts: int = 0


def apply_reverse(session: Session) -> Reversed:
    """Write every change made in PostgreSQL up to now into the file, then forget those entries."""
    state = session.file.state()
    if state.file_is_truth or state.phase != CUTOVER:
        return Reversed(False)
    if not count_entries(session.user) and not count_entries(session.auth):
        return Reversed(True)
    with session.file.exclusive() as connection:
        state = read_state(connection)
        if state.file_is_truth or state.phase != CUTOVER:
            return Reversed(False)
        with reverse_view(session.user, session.auth) as view:
            step("reverse.read")
            accounts = write_accounts(connection, view.accounts())
        step("reverse.before_file_commit")
    step("reverse.file_committed")
    forget(session, view)
    return Reversed(True, len(view), accounts)


def forget(session: Session, view: ReverseView) -> None:
    """Delete the entries of a view whose effect the file has committed."""
    delete_entries(session.user, view.user_entries)
    step("reverse.entries_deleted")
    delete_entries(session.auth, view.auth_entries)


def waiting_entries(session: Session) -> dict[str, int]:
    """Entries that wait in each database."""
    return {side.name: count_entries(engine) for side, engine in session.targets.items()}
