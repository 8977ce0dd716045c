"""Reading and changing one's own profile, and the look-up that a login needs."""

from sqlalchemy import Connection

from service_kit.events import catalog
from service_kit.events.store import append
from service_kit.identity import Identity
from service_kit.truth.router import Truth
from user_app.domain import Client, ProfileChange, User, UserNotFound
from user_app.repository import legacy_users, users
from user_app.use_cases.accounts import Accounts


class Profiles:
    """Profiles of all users."""

    def __init__(self, truth: Truth, accounts: Accounts) -> None:
        self._truth = truth
        self._accounts = accounts

    def get(self, user_id: int) -> User:
        """The user. UserNotFound."""
        user = self._truth.read(
            lambda connection: legacy_users.by_id(connection, user_id),
            lambda connection: users.by_id(connection, user_id),
        )
        if user is None:
            raise UserNotFound
        return user

    def find(self, email: str) -> User | None:
        """The user with this normalised address."""
        return self._truth.read(
            lambda connection: legacy_users.by_email(connection, email),
            lambda connection: users.by_email(connection, email),
        )

    def update(self, presented: Identity, change: ProfileChange, client: Client) -> tuple[User, str | None]:
        """The changed user, and a token that carries the email when the change names one.

        Raises:
            UserNotFound, EmailTaken, Unavailable: of the last, the change may have been made; it is repeatable.
        """
        user_id = presented.user_id
        user = self._truth.write(
            lambda connection: legacy_users.update(connection, user_id, change),
            lambda connection: _update(connection, user_id, change),
        )
        if change.email is None:
            return user, None
        return user, self._accounts.open_session(user, client, presented)


def _update(connection: Connection, user_id: int, change: ProfileChange) -> User:
    before = users.lock(connection, user_id)
    changes = change.against(before)
    if not changes:
        return before
    after = users.update(connection, user_id, change)
    data = {"user_id": user_id, "changes": changes}
    append(connection, catalog.USER_PROFILE_UPDATED, user_id, data)
    return after
