"""One gateway and one stand-in for both services, shared by the tests of a file; each test finds them empty."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.redis import Redis
from tests.support.gateway import Gateway, declare_ready, running
from tests.support.upstream import Upstream, echo


@pytest.fixture(scope="module")
def shared_upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def shared_gateway(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: Redis,
    shared_upstream: Upstream,
) -> Iterator[Gateway]:
    """Takes a file's own settings from its `SETTINGS`."""
    redis_server.start()
    settings = {
        "user_service_urls": shared_upstream.url,
        "auth_service_urls": shared_upstream.url,
        **getattr(request.module, "SETTINGS", {}),
    }
    with running(tmp_path_factory.mktemp("gateway"), redis_server.url, **settings) as gateway:
        yield gateway


@pytest.fixture
def upstream(shared_upstream: Upstream) -> Upstream:
    """Answers as `echo` does and has received nothing."""
    shared_upstream.act = echo
    shared_upstream.received.clear()
    return shared_upstream


@pytest.fixture
def gateway(shared_gateway: Gateway, redis_url: str, upstream: Upstream) -> Gateway:
    """Its Redis is empty but for the sign that all revocations are there."""
    declare_ready(redis_url)
    return shared_gateway


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
