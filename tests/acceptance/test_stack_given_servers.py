"""Servers that exist already are used instead of the stack's own, and are left as they were."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devstack.postgres import Postgres
from devstack.redis import Redis
from devstack.stack import Stack
from tests.support.environment import service_environment


@pytest.fixture
def stack(
    servers_home: Path, postgres: Postgres, fresh_database: Callable[[str], str], redis_url: str
) -> Iterator[Stack]:
    given = {
        "user_database_url": fresh_database("user_db"),
        "auth_database_url": fresh_database("auth_db"),
        "migration_database_url": fresh_database("migration_db"),
        "redis_url": redis_url,
        "legacy_sqlite_path": "",
    }
    environ = service_environment(given)
    stack = Stack(servers_home / "given", "free", environ, ("auth",), durable=False, inherit=False)
    yield stack
    stack.reset()


def test_given_servers_are_used_and_outlive_the_stack(
    stack: Stack, postgres: Postgres, redis_server: Redis
) -> None:
    stack.up()
    assert stack.ailments() == {"auth-1": ""}
    assert not stack.postgres.running
    assert not stack.redis.running
    stack.reset()
    assert postgres.running
    assert redis_server.running
