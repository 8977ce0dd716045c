"""Ending registrations whose process died or lost its way: each becomes whole or nothing.

The credential in auth_db decides. Without one the auth service marks the id as given up in the same transaction, so
none can follow, and only then the pending row goes and its email is free again (docs/protocol.md, registration).
"""

import logging

from sqlalchemy import Connection, Engine

from service_kit.db import transaction
from service_kit.events import catalog
from service_kit.events.store import append
from service_kit.steps import step
from service_kit.truth.router import Truth
from user_app.domain import User
from user_app.repository import registrations
from user_app.use_cases.accounts import Accounts

log = logging.getLogger(__name__)

GRACE_SECONDS = 3.0
"""How long a registration may be under way before somebody else ends it."""

_BATCH = 100


class Settling:
    """Settles pending rows; any number of processes may do so at once."""

    def __init__(self, truth: Truth, engine: Engine, accounts: Accounts) -> None:
        self._truth = truth
        self._engine = engine
        self._accounts = accounts

    def sweep(self, older_than: float = GRACE_SECONDS) -> int:
        """Settle what is pending for longer than `older_than` seconds; answers how many. Unavailable."""
        with transaction(self._engine) as connection:
            user_ids = registrations.pending_longer_than(connection, older_than, _BATCH)
        for user_id in user_ids:
            self.settle(user_id)
        return len(user_ids)

    def settle(self, user_id: int) -> None:
        """End one registration. Unavailable when it has to wait for a dependency."""
        whole = self._accounts.settle_credential(user_id)
        step("settle.asked")
        ended = self._truth.write(lambda _: False, lambda connection: _end(connection, user_id, whole))
        step("settle.done")
        if ended:
            log.info("registration %s", "completed" if whole else "given up", extra={"user_id": user_id})


def activate(connection: Connection, user_id: int) -> User | None:
    """Make a pending user active, with the event that tells of it; None when the row is not pending."""
    user = registrations.activate(connection, user_id)
    if user is not None:
        data = {"user_id": user.id, "email": user.email, "name": user.name}
        append(connection, catalog.USER_REGISTERED, user.id, data)
    return user


def _end(connection: Connection, user_id: int, whole: bool) -> bool:
    if whole:
        return activate(connection, user_id) is not None
    return registrations.remove(connection, user_id)
