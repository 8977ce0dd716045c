"""The code of both services in one process, without HTTP: what a request does to the stores is the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from auth_app.passwords import PasswordHasher
from auth_app.use_cases.credentials import Credentials, GivenUp, WrongSide
from migration.drain import drain_auth_db, drain_user_db
from service_kit.db import engine_for
from service_kit.identity import Identity
from service_kit.settings import Settings
from service_kit.truth.legacy_file import LegacyFile
from service_kit.truth.router import Truth
from user_app.domain import Client, User
from user_app.use_cases.profiles import Profiles
from user_app.use_cases.registration import Registration
from user_app.use_cases.settling import Settling

UNDO_AFTER_SECONDS = 1.0


class Accounts:
    """`user_app.use_cases.accounts.Accounts`, straight to the auth service's use case.

    `before_credential` is called with an id and a hash when a credential is about to be stored.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self.before_credential: Callable[[int, str], object] = lambda user_id, password_hash: None
        self.hashed = ""

    def hash_password(self, password: str) -> str:
        """The password itself stands in for its hash: the history can then tell whose it is."""
        return password

    def put_credential(self, user_id: int, password_hash: str) -> bool:
        self.before_credential(user_id, password_hash)
        try:
            self._credentials.put(user_id, password_hash)
        except GivenUp:
            return False
        except WrongSide as answer:
            return answer.credential
        return True

    def settle_credential(self, user_id: int) -> bool:
        try:
            return self._credentials.settle(user_id)
        except WrongSide as answer:
            return answer.credential

    def open_session(self, user: User, client: Client, presented: Identity | None = None) -> str:
        return "token"


@dataclass(frozen=True)
class Services:
    """The use cases that write, and the auth service's way to its stores."""

    registration: Registration
    profiles: Profiles
    settling: Settling
    accounts: Accounts
    auth: Truth


def open_services(settings: Settings, urls: Mapping[str, str]) -> Services:
    """Both services on the stores of one run, each with engines and drains of its own."""
    file = LegacyFile(settings.legacy_sqlite_path)
    user, auth = _engine(urls["USER_DATABASE_URL"], "user"), _engine(urls["AUTH_DATABASE_URL"], "auth")
    user_truth = Truth(file, user, drain_user_db(file.path, user), undo_after=UNDO_AFTER_SECONDS)
    auth_truth = Truth(file, auth, drain_auth_db(file.path, auth), undo_after=UNDO_AFTER_SECONDS)
    accounts = Accounts(Credentials(auth, auth_truth, PasswordHasher(4, 1, 1)))
    settling = Settling(user_truth, user, accounts)
    return Services(
        Registration(user_truth, accounts, settling),
        Profiles(user_truth, accounts),
        settling,
        accounts,
        auth_truth,
    )


def _engine(url: str, name: str) -> Engine:
    return engine_for(url.replace("postgresql://", "postgresql+psycopg2://"), name=name, pool_size=4)
