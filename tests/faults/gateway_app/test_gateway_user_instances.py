"""Two real instances of the user service behind the gateway, one of which ends under load."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devstack.ports import free_port
from tests.faults.gateway_app.load import Load
from tests.support.gateway import Gateway, bearer
from tests.support.platform import platform
from tests.support.service import ServiceProcess
from tests.support.waiting import wait_until


@pytest.fixture
def users(
    tmp_path: Path, user_database_url: str, auth_database_url: str, redis_url: str
) -> Iterator[tuple[Gateway, list[ServiceProcess]]]:
    """A gateway in front of two user services and one auth service, on PostgreSQL alone."""
    stores = {
        "user_database_url": user_database_url,
        "auth_database_url": auth_database_url,
        "redis_url": redis_url,
        "legacy_sqlite_path": "",
    }
    with platform(tmp_path, **stores) as processes:
        first = processes["user"]
        port = free_port()
        second = ServiceProcess("user_app", first.environ | {"USER_PORT": str(port)}, port, tmp_path)
        urls = {
            "user_service_urls": f"{first.url},{second.url}",
            "auth_service_urls": processes["auth"].url,
        }
        with second, Gateway(tmp_path / "gateway", redis_url, **urls) as gateway:
            yield gateway, [first, second]


def registered(gateway: Gateway) -> dict[str, str]:
    """The header of a new user."""
    form = {"email": f"{secrets.token_hex(6)}@example.com", "password": "sample-pass"}
    answer = gateway.request("POST", "/api/register", {}, form)
    assert answer.status == 201, answer.body
    return bearer(answer.json["token"])


@pytest.mark.parametrize("end", [ServiceProcess.kill, ServiceProcess.stop], ids=["killed", "stopped"])
def test_no_client_sees_an_error_on_a_get_when_one_of_two_instances_ends(
    users: tuple[Gateway, list[ServiceProcess]], end: Callable[[ServiceProcess], None]
) -> None:
    gateway, instances = users
    headers = wait_until(lambda: registered(gateway), 30, "a user")
    for victim in instances:
        with Load(gateway, "GET", "/api/profile", headers, clients=8) as load:
            wait_until(lambda load=load: load.total > 100, 30, "traffic")
            end(victim)
            reached = load.total
            wait_until(
                lambda load=load, reached=reached: load.total > reached + 200, 60, "traffic without it"
            )
        assert set(load.outcomes) == {"200"}
        victim.start()
        wait_until(
            lambda: (
                gateway.request("GET", "/api/health?details=1").json["services"]["user"]["instances"]
                == {"user-1": "ok", "user-2": "ok"}
            ),
            20,
            "its return",
        )
