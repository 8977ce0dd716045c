"""The auth service's application on real stores, on either side of the migration."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine
from werkzeug.serving import make_server

from auth_app import factory
from devstack.ports import free_port
from devstack.redis import Redis
from service_kit import settings
from tests.integration.auth_app.support import AuthService, LegacyUsers, UserService
from tests.support.environment import service_environment
from user_app import factory as user_factory

SIDES = ("file", "database")
Make = Callable[..., AuthService]


@pytest.fixture
def legacy_users(tmp_path: Path) -> LegacyUsers:
    """A legacy file without users."""
    return LegacyUsers(tmp_path / "legacy.db")


@pytest.fixture
def auth_engine(auth_database_url: str) -> Iterator[Engine]:
    """The test's own way into auth_db."""
    engine = create_engine(auth_database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def make_service(
    auth_database_url: str, auth_engine: Engine, redis_url: str, legacy_users: LegacyUsers
) -> Iterator[Make]:
    """Makes the service on a side; its keeper does not run by itself."""
    made: list[factory.Service] = []

    def make(side: str = "file", **more: object) -> AuthService:
        values: dict[str, object] = {"auth_database_url": auth_database_url, "redis_url": redis_url}
        values |= {"legacy_sqlite_path": legacy_users.path if side == "file" else "", **more}
        service = factory.create(settings.load("auth", service_environment(values)))
        made.append(service)
        return AuthService(service, auth_engine, redis_url, legacy_users if side == "file" else None)

    yield make
    for service in made:
        service.engine.dispose()


@pytest.fixture(params=SIDES)
def side(request: pytest.FixtureRequest) -> str:
    """Where users are: "file" or "database"."""
    return str(request.param)


@pytest.fixture
def auth(make_service: Make, side: str) -> AuthService:
    """The service on each side in turn, Redis filled."""
    service = make_service(side)
    service.keeper.round()
    return service


@pytest.fixture
def user_service(user_database_url: str, redis_url: str) -> Iterator[UserService]:
    """The user service in PostgreSQL alone, answering on a port."""
    values: dict[str, object] = {"user_database_url": user_database_url, "redis_url": redis_url}
    service = user_factory.create(settings.load("user", service_environment(values, legacy_sqlite_path="")))
    server = make_server("127.0.0.1", free_port(), service.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield UserService(f"http://127.0.0.1:{server.port}", service.engine)
    server.shutdown()
    thread.join()
    server.server_close()
    service.engine.dispose()


@pytest.fixture
def auth_with_users(make_service: Make, side: str, user_service: UserService) -> AuthService:
    """The service on each side in turn; on the database side the user service knows whose email is whose."""
    service = make_service(side, user_service_urls=user_service.url)
    service.users = user_service if side == "database" else None
    service.keeper.round()
    return service


@pytest.fixture
def running_again(redis_server: Redis) -> Iterator[Redis]:
    """The Redis server for a test that stops it."""
    yield redis_server
    redis_server.start()
