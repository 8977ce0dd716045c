"""The user service's application on real stores, beside a real auth service, on either side of the migration."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from auth_app import factory as auth_factory
from service_kit import settings
from service_kit.service_client import ServiceClient
from tests.integration.user_app.support import HttpServer, LegacyUsers, UserService
from tests.support.environment import USER_API_KEY, service_environment
from user_app import factory
from user_app.auth_service import HttpAccounts

SIDES = ("file", "database")
Make = Callable[..., UserService]


@pytest.fixture
def legacy_users(tmp_path: Path) -> LegacyUsers:
    """A legacy file without users."""
    return LegacyUsers(tmp_path / "legacy.db")


@pytest.fixture
def engines(user_database_url: str, auth_database_url: str) -> Iterator[tuple[Engine, Engine]]:
    """The test's own ways into user_db and auth_db."""
    made = create_engine(user_database_url), create_engine(auth_database_url)
    yield made
    for engine in made:
        engine.dispose()


@pytest.fixture
def make_service(
    user_database_url: str,
    auth_database_url: str,
    redis_url: str,
    engines: tuple[Engine, Engine],
    legacy_users: LegacyUsers,
) -> Iterator[Make]:
    """Makes the service on a side, with an auth service that it speaks to over HTTP."""
    cleanups: list[Callable[[], object]] = []

    def make(side: str = "file", **more: object) -> UserService:
        path = str(legacy_users.path) if side == "file" else ""
        values: dict[str, object] = {
            "user_database_url": user_database_url,
            "auth_database_url": auth_database_url,
            "redis_url": redis_url,
            "legacy_sqlite_path": path,
            **more,
        }
        auth = auth_factory.create(settings.load("auth", service_environment(values)))
        server = HttpServer(auth.app).__enter__()
        values.setdefault("auth_service_urls", server.url)
        service = factory.create(settings.load("user", service_environment(values)))
        cleanups.extend(
            [lambda: server.__exit__(None, None, None), auth.engine.dispose, service.engine.dispose]
        )
        accounts = HttpAccounts(ServiceClient("auth service", [server.url], USER_API_KEY, timeout=5))
        return UserService(service, *engines, accounts, legacy_users if side == "file" else None)

    yield make
    for cleanup in cleanups:
        cleanup()


@pytest.fixture(params=SIDES)
def side(request: pytest.FixtureRequest) -> str:
    """Where users are: "file" or "database"."""
    return str(request.param)


@pytest.fixture
def users(make_service: Make, side: str) -> UserService:
    """The service on each side in turn."""
    return make_service(side)
