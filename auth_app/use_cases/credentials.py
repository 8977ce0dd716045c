"""The credential's part of a registration, which the user service runs (docs/protocol.md, registration)."""

from sqlalchemy import Connection, Engine

from auth_app.passwords import PasswordHasher
from auth_app.repository import credentials
from service_kit.db import transaction
from service_kit.errors import Conflict
from service_kit.truth.router import Truth


class GivenUp(Conflict):
    """The registration was settled without a credential; none may follow."""

    code = "given_up"
    default_message = "The registration was given up"


class WrongSide(Conflict):
    """The legacy file is the truth. `credential`: whether auth_db holds one, which then counts."""

    code = "wrong_side"
    default_message = "The legacy file holds the truth"

    def __init__(self, credential: bool) -> None:
        super().__init__()
        self.credential = credential


class Credentials:
    """Stores and settles credentials, each decision made once."""

    def __init__(self, engine: Engine, truth: Truth, hasher: PasswordHasher) -> None:
        self._engine = engine
        self._truth = truth
        self._hasher = hasher

    def hash(self, password: str) -> str:
        """The hash to store for a new password."""
        return self._hasher.hash(password)

    def put(self, user_id: int, stored: str) -> bool:
        """Store the credential of a new user: the registration's commit point. False when it was there already.

        Raises:
            GivenUp, WrongSide.
        """

        def work(connection: Connection) -> bool:
            credentials.lock_registration(connection, user_id)
            if credentials.is_given_up(connection, user_id):
                raise GivenUp
            return credentials.insert(connection, user_id, stored)

        added = self._truth.write(lambda _: None, work)
        if added is None:
            raise self._wrong_side(user_id)
        return added

    def settle(self, user_id: int) -> bool:
        """Whether there is a credential; if not, there never will be.

        Raises:
            WrongSide.
        """

        def work(connection: Connection) -> bool:
            credentials.lock_registration(connection, user_id)
            if credentials.exists(connection, user_id):
                return True
            credentials.give_up(connection, user_id)
            return False

        there = self._truth.write(lambda _: None, work)
        if there is None:
            raise self._wrong_side(user_id)
        return there

    def _wrong_side(self, user_id: int) -> WrongSide:
        with transaction(self._engine) as connection:
            return WrongSide(credentials.exists(connection, user_id))
