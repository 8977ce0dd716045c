"""Redis stopped, paused and restarted under load: no 500, no hang, nobody revoked gets in, recovery by itself."""

import signal
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from redis import Redis as RedisClient

from devstack.redis import Redis
from service_kit.revocation import token_key
from tests.faults.gateway_app.load import Load
from tests.support.gateway import KEYS, Gateway, bearer, declare_ready, running
from tests.support.upstream import Upstream
from tests.support.waiting import wait_until

HANG_SECONDS = 1.0


def server(redis: Redis) -> psutil.Process:
    """The Redis server's process."""
    with RedisClient.from_url(redis.url) as client:
        return psutil.Process(int(client.info("server")["process_id"]))


def status(gateway: Gateway, target: str = "/api/profile") -> int:
    return gateway.request("GET", target, bearer()).status


def works_without_redis(gateway: Gateway) -> None:
    """What needs no revocation check goes on; what needs one says 503, quickly."""
    revoked = KEYS.sign(7, "a@example.com", 600)
    with (
        Load(gateway, "POST", "/api/login", {}, {}, clients=4) as logins,
        Load(gateway, "GET", "/api/profile", bearer(revoked.text), clients=4) as profiles,
        Load(gateway, "GET", "/api/health", {}, clients=2) as health,
    ):
        wait_until(lambda: min(logins.total, profiles.total, health.total) > 50, 30, "traffic")
    assert set(logins.outcomes) == set(health.outcomes) == {"200"}
    assert set(profiles.outcomes) == {"503"}
    assert max(logins.slowest, profiles.slowest, health.slowest) < HANG_SECONDS
    assert gateway.request("GET", "/api/profile").status == 401
    assert gateway.request("GET", "/api/profile", bearer("nope")).status == 403
    assert gateway.request("GET", "/api/health?details=1").json["dependencies"]["redis"] == "unavailable"


@pytest.mark.parametrize("how", ["killed", "paused"])
def test_without_redis_nothing_fails_or_hangs_and_all_is_well_when_it_is_back(
    tmp_path: Path, own_redis: Redis, how: str
) -> None:
    with Upstream() as service:
        settings = {
            "user_service_urls": service.url,
            "auth_service_urls": service.url,
            "redis_timeout_ms": 50,
        }
        with running(tmp_path, own_redis.url, **settings) as gateway:
            assert status(gateway) == 200
            process = server(own_redis)
            with Load(gateway, "GET", "/api/profile", bearer(), clients=8) as load:
                wait_until(lambda: load.total > 100, 30, "traffic")
                process.send_signal(signal.SIGKILL if how == "killed" else signal.SIGSTOP)
                wait_until(lambda: load.outcomes["503"] > 50, 30, "that it is noticed")
            assert set(load.outcomes) == {"200", "503"}
            assert load.slowest < HANG_SECONDS
            works_without_redis(gateway)
            if how == "killed":
                own_redis.start()
                wait_until(
                    lambda: (
                        gateway.request("GET", "/api/health?details=1").json["dependencies"]["redis"] == "ok"
                    )
                )
                assert (
                    status(gateway) == 503
                )  # this Redis is empty: nobody has said that all revocations are there
                declare_ready(own_redis.url)
            else:
                process.send_signal(signal.SIGCONT)
            wait_until(lambda: status(gateway) == 200, 10, "recovery")


def test_the_port_opens_when_revocations_can_be_asked_for(tmp_path: Path, own_redis: Redis) -> None:
    declare_ready(own_redis.url)
    redis, port = server(own_redis), urlsplit(own_redis.url).port
    with Upstream() as service:
        gateway = Gateway(tmp_path, own_redis.url, user_service_urls=service.url)
        redis.send_signal(signal.SIGSTOP)
        try:
            gateway.start(path="")
            process = psutil.Process(gateway.pid)
            wait_until(
                lambda: any(one.raddr and one.raddr.port == port for one in process.net_connections()),
                20,
                "the gateway at Redis",
            )
            listening = [one for one in process.net_connections() if one.status == psutil.CONN_LISTEN]
            assert gateway.port not in {one.laddr.port for one in listening}
        finally:
            redis.send_signal(signal.SIGCONT)
        try:
            wait_until(lambda: gateway.status("/readyz") == 200, 20, "the port")
            assert status(gateway) == 200
        finally:
            gateway.stop()


def test_one_request_waits_for_a_frozen_redis_no_longer_than_its_budget_in_all(
    tmp_path: Path, own_redis: Redis
) -> None:
    with Upstream() as service:
        urls = {"user_service_urls": service.url, "auth_service_urls": service.url}
        with running(tmp_path, own_redis.url, redis_timeout_ms=250, **urls) as gateway:
            assert status(gateway) == 200
            server(own_redis).send_signal(signal.SIGSTOP)
            started = time.monotonic()
            assert status(gateway) == 503
            assert 0.2 < time.monotonic() - started < 0.75


def test_limits_are_kept_in_the_process_while_redis_is_away(tmp_path: Path, own_redis: Redis) -> None:
    with Upstream() as service:
        settings = {"auth_service_urls": service.url, "rate_limit_credentials": "5 per minute"}
        with running(tmp_path, own_redis.url, **settings) as gateway:
            own_redis.stop()
            found = [gateway.request("POST", "/api/login", {}, {}).status for _ in range(8)]
            assert found == [200] * 5 + [429] * 3


def test_a_restart_between_two_requests_costs_nobody_anything(tmp_path: Path, own_redis: Redis) -> None:
    with Upstream() as service, running(tmp_path, own_redis.url, user_service_urls=service.url) as gateway:
        for _ in range(3):
            assert status(gateway) == 200
            own_redis.stop()
            own_redis.start()
            declare_ready(own_redis.url)
            wait_until(
                lambda: gateway.request("GET", "/api/health?details=1").json["dependencies"]["redis"] == "ok"
            )
            assert status(gateway) == 200


def test_connections_that_redis_drops_cost_nobody_anything(tmp_path: Path, own_redis: Redis) -> None:
    with (
        Upstream() as service,
        running(tmp_path, own_redis.url, user_service_urls=service.url) as gateway,
        RedisClient.from_url(own_redis.url) as client,
        Load(gateway, "GET", "/api/profile", bearer(), clients=8) as load,
    ):
        for _ in range(10):
            reached = load.total
            wait_until(lambda reached=reached: load.total > reached + 30, 30, "traffic")
            client.client_kill_filter(_type="normal", skipme=True)
    assert set(load.outcomes) == {"200"}


def test_a_revoked_token_stays_out_whatever_redis_does(tmp_path: Path, own_redis: Redis) -> None:
    issued = KEYS.sign(7, "a@example.com", 600)
    with (
        Upstream() as service,
        running(tmp_path, own_redis.url, user_service_urls=service.url, redis_timeout_ms=250) as gateway,
    ):
        with RedisClient.from_url(own_redis.url) as client:
            client.set(token_key(issued.claims.token_id), "1")
        process = server(own_redis)
        with Load(gateway, "GET", "/api/profile", bearer(issued.text), clients=4) as load:
            for number in (signal.SIGSTOP, signal.SIGCONT, signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL):
                reached = load.total
                wait_until(lambda reached=reached: load.total > reached + 30, 30, "traffic")
                process.send_signal(number)
            own_redis.start()
            reached = load.total
            wait_until(lambda reached=reached: load.total > reached + 30, 30, "traffic")
        assert set(load.outcomes) <= {"403", "503"} and load.outcomes["403"] > 0
        assert service.received == []


def test_it_starts_without_redis_and_connects_later(tmp_path: Path, own_redis: Redis) -> None:
    own_redis.stop()
    with Upstream() as service:
        gateway = Gateway(
            tmp_path, own_redis.url, user_service_urls=service.url, auth_service_urls=service.url
        )
        with gateway:
            assert status(gateway) == 503
            assert gateway.request("POST", "/api/login", {}, {}).status == 200
            own_redis.start()
            declare_ready(own_redis.url)
            wait_until(lambda: status(gateway) == 200, 10, "the connection")
