"""Which events follow from an applied change. Pure.

An event is told from the row before and after in PostgreSQL and from the log entries that led from one to the other:

- The first entry says that the row came to be ('i'): it was not there before, so it is a registration, also when the
  bulk copy brought the row here a moment earlier.
- The row was here before: a profile update when name or email differ, a password change when the hash does.
- The row was not here before, and the first entry does not say that it came to be: an old account that the copy has
  not reached. Nobody here knows what changed in it, and a million old users are not a million registrations, so it
  makes no event. The one exception is a password change by the auth service, which says so in the log (`kept_token`).

Removed and rejected rows make no event. A type tells when the change was made in the file, not when it was applied:
a session opened after a password change must outlive it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from migration.batch import Entry
from migration.values import CredentialRow, UserRow
from service_kit.events.catalog import USER_PASSWORD_CHANGED, USER_PROFILE_UPDATED, USER_REGISTERED
from service_kit.events.store import NewEvent

_CAME_TO_BE = "i"


def profile_event(entries: Sequence[Entry], before: UserRow | None, after: UserRow | None) -> NewEvent | None:
    """The event in `user_db` of one key; `entries` are its entries since `before`, at least one."""
    if after is None:
        return None
    if entries[0].op == _CAME_TO_BE:
        data = {"user_id": after.id, "email": after.email, "name": after.name}
        return NewEvent(USER_REGISTERED, after.id, data, _time(entries[0]))
    if before is None:
        return None
    changes = {
        field: {"old": getattr(before, field), "new": getattr(after, field)}
        for field in ("email", "name")
        if getattr(before, field) != getattr(after, field)
    }
    if not changes:
        return None
    return NewEvent(
        USER_PROFILE_UPDATED, after.id, {"user_id": after.id, "changes": changes}, _time(entries[-1])
    )


def password_event(
    entries: Sequence[Entry], before: CredentialRow | None, after: CredentialRow | None
) -> NewEvent | None:
    """The event in `auth_db` of one key; `entries` are its entries since `before`, at least one."""
    if after is None:
        return None
    told = [entry for entry in entries if entry.kept_token is not None]
    seen = entries[0].op != _CAME_TO_BE and before is not None and before.password_hash != after.password_hash
    if not told and not seen:
        return None
    last = told[-1] if told else entries[-1]
    data = {"user_id": after.user_id, "kept_token": last.kept_token}
    return NewEvent(USER_PASSWORD_CHANGED, after.user_id, data, _time(last))


def _time(entry: Entry) -> datetime:
    return datetime.fromtimestamp(entry.at, UTC)
