"""Real servers for the whole run, fresh databases for each test."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from redis import Redis as RedisClient

from devstack import process, schema
from devstack.postgres import Postgres
from devstack.redis import Redis
from tests.support.environment import service_environment

ROLES = {"user_db": "user_service", "auth_db": "auth_service", "migration_db": "migration"}

_PREFIX = "stack-tests-"


@pytest.fixture(scope="session", autouse=True)
def _no_local_stack() -> None:
    """A stack that runs in this folder must not leak its settings into tests."""
    os.environ["STACK_ENV_FILE"] = ""


@pytest.fixture(scope="session")
def servers_home() -> Iterator[Path]:
    """A folder for this run's servers, outside of pytest's own: the account of PostgreSQL has to enter it."""
    _sweep_dead_runs()
    home = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    home.chmod(0o711)
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(servers_home: Path) -> Iterator[Postgres]:
    """A running PostgreSQL with the three roles."""
    server = Postgres(servers_home / "postgres", durable=False, mark=f"{_PREFIX}{os.getpid()}/postgres")
    try:
        server.start()
        for role in ROLES.values():
            server.create_role(role)
        yield server
    finally:
        server.destroy()


@pytest.fixture(scope="session")
def redis_server(servers_home: Path) -> Iterator[Redis]:
    """A running Redis; `redis_url` is what most tests want."""
    server = Redis(servers_home / "redis", mark=f"{_PREFIX}{os.getpid()}/redis")
    try:
        server.start()
        yield server
    finally:
        server.destroy()


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """Address of the Redis, started if a test has killed it, and empty."""
    redis_server.start()
    with RedisClient.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> Callable[[str], str]:
    """Name of a database with the newest schema of a kind (`user_db`, ...); made once per run."""
    made: dict[str, str] = {}

    def get(database: str) -> str:
        if database not in made:
            name = f"{database}_template"
            postgres.create_database(name, ROLES[database])
            schema.upgrade(database, _settings_for_schema(postgres, name))
            made[database] = name
        return made[database]

    return get


@pytest.fixture
def fresh_database(postgres: Postgres, template: Callable[[str], str]) -> Iterator[Callable[[str], str]]:
    """Makes a new database of a kind (`user_db`, ...) and returns its address; dropped after the test."""
    postgres.start()
    made: list[str] = []

    def make(database: str) -> str:
        name = f"{database}_{next(_numbers)}"
        postgres.create_database(name, ROLES[database], template(database))
        made.append(name)
        return postgres.url(name).replace("postgresql://", "postgresql+psycopg2://")

    yield make
    postgres.start()
    for name in made:
        postgres.drop_database(name)


@pytest.fixture
def user_database_url(fresh_database: Callable[[str], str]) -> str:
    """A fresh database with the user service's schema, for SQLAlchemy."""
    return fresh_database("user_db")


@pytest.fixture
def auth_database_url(fresh_database: Callable[[str], str]) -> str:
    """A fresh database with the auth service's schema, for SQLAlchemy."""
    return fresh_database("auth_db")


@pytest.fixture
def migration_database_url(fresh_database: Callable[[str], str]) -> str:
    """A fresh database with the migration toolkit's schema, for SQLAlchemy."""
    return fresh_database("migration_db")


@pytest.fixture
def database_urls(
    user_database_url: str, auth_database_url: str, migration_database_url: str
) -> dict[str, str]:
    """All three, by the names of their settings."""
    return {
        "user_database_url": user_database_url,
        "auth_database_url": auth_database_url,
        "migration_database_url": migration_database_url,
    }


_numbers = itertools.count(1)


def _settings_for_schema(postgres: Postgres, database: str) -> dict[str, str]:
    """Complete settings of every role; all three addresses lead to `database`, which only its owner's command
    uses.
    """
    names = ("user_database_url", "auth_database_url", "migration_database_url")
    urls = dict.fromkeys(names, postgres.url(database))
    return service_environment(urls, redis_url="redis://127.0.0.1:1/0", legacy_sqlite_path="")


def _sweep_dead_runs() -> None:
    """Ends the servers of runs that were killed before they could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            process.kill_all(process.marked(f"{_PREFIX}{pid}/"))
            shutil.rmtree(folder, ignore_errors=True)
