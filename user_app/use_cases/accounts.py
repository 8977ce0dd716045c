"""What a registration and a profile need of the auth service, which keeps credentials and sessions."""

from typing import Protocol

from service_kit.identity import Identity
from user_app.domain import Client, User


class Accounts(Protocol):
    """The auth service. Every method raises Unavailable when it cannot be reached."""

    def hash_password(self, password: str) -> str:
        """The bcrypt hash to store for a new password."""

    def put_credential(self, user_id: int, password_hash: str) -> bool:
        """Store a new user's credential, or find it stored. False: there is none, and there never will be."""

    def settle_credential(self, user_id: int) -> bool:
        """Whether there is a credential; when there is none, none can follow."""

    def open_session(self, user: User, client: Client, presented: Identity | None = None) -> str:
        """A token for `user`: in the session of the `presented` one, else in a new session."""
