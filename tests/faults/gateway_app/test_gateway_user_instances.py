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
        "drain_notice_seconds": 1.5,
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


def both_are_well(gateway: Gateway) -> bool:
    found = gateway.request("GET", "/api/health?details=1").json["services"]["user"]["instances"]
    return bool(found == {"user-1": "ok", "user-2": "ok"})


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
        wait_until(lambda: both_are_well(gateway), 20, "its return")


def test_no_client_sees_an_error_on_a_write_when_instances_are_stopped_one_after_the_other(
    users: tuple[Gateway, list[ServiceProcess]],
) -> None:
    gateway, instances = users
    headers = wait_until(lambda: registered(gateway), 30, "a user")
    with Load(gateway, "PUT", "/api/preferences", headers, {"theme": "dark"}, clients=8) as load:
        for victim in instances * 3:
            reached = load.total
            wait_until(lambda reached=reached: load.total > reached + 100, 30, "traffic")
            victim.stop()
            reached = load.total
            wait_until(lambda reached=reached: load.total > reached + 100, 60, "traffic without it")
            victim.start()
            wait_until(lambda: both_are_well(gateway), 20, "its return")
    assert set(load.outcomes) == {"200"}
