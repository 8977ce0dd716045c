"""Instances of a service that die, hang, drain and come back, while clients go on."""

import signal
import socket
import time
from collections import Counter
from pathlib import Path

from tests.faults.gateway_app.conftest import UpstreamProcess
from tests.faults.gateway_app.load import Load
from tests.support.gateway import Gateway, bearer, running
from tests.support.upstream import Received, Upstream, echo, reply
from tests.support.waiting import wait_until


def urls(*instances: UpstreamProcess | Upstream) -> str:
    return ",".join(instance.url for instance in instances)


def answering(gateway: Gateway, count: int = 40) -> Counter[int]:
    """Which ports answer this many requests."""
    with gateway.client() as client:
        return Counter(client.request("GET", "/api/profile", bearer()).json["port"] for _ in range(count))


def test_requests_are_spread_over_the_instances(
    tmp_path: Path, redis_url: str, instances: list[UpstreamProcess]
) -> None:
    with running(tmp_path, redis_url, user_service_urls=urls(*instances)) as gateway:
        shares = answering(gateway)
        assert set(shares) == {instance.port for instance in instances}
        assert min(shares.values()) >= 15


def test_nobody_notices_a_killed_instance_and_it_is_used_again_when_it_is_back(
    tmp_path: Path, redis_url: str, instances: list[UpstreamProcess]
) -> None:
    one, other = instances
    with running(tmp_path, redis_url, user_service_urls=urls(one, other)) as gateway:
        for victim, survivor in ((one, other), (other, one)):
            with Load(gateway, "GET", "/api/profile", bearer(), clients=16) as load:
                wait_until(lambda load=load: load.total > 200, 30, "traffic")
                victim.signal(signal.SIGKILL)
                reached = load.total
                wait_until(
                    lambda load=load, reached=reached: load.total > reached + 300, 30, "traffic without it"
                )
            assert set(load.outcomes) == {"200"}
            assert set(answering(gateway)) == {survivor.port}
            victim.start()
            wait_until(lambda victim=victim: victim.port in answering(gateway, 4), 10, "its return")


def test_a_request_that_may_have_been_acted_on_is_never_sent_twice(tmp_path: Path, redis_url: str) -> None:
    def dies(_request: Received, _client: socket.socket) -> None:
        return None

    with (
        Upstream(act=dies) as one,
        Upstream(act=dies) as other,
        running(tmp_path, redis_url, user_service_urls=urls(one, other)) as gateway,
    ):
        for number in range(6):
            answer = gateway.request("PUT", "/api/profile", bearer(), {"name": f"n{number}"})
            assert (answer.status, answer.json["code"]) == (502, "bad_gateway")
        bodies = Counter(request.body for request in one.received + other.received)
        assert len(bodies) == 6 and set(bodies.values()) == {1}
        answer = gateway.request("GET", "/api/profile", bearer())
        assert answer.status == 502
        assert len(one.received + other.received) == 8  # each instance was asked once


def test_a_request_that_nobody_took_goes_to_another_instance(tmp_path: Path, redis_url: str) -> None:
    with (
        Upstream() as one,
        Upstream() as other,
        running(tmp_path, redis_url, user_service_urls=urls(one, other)) as gateway,
    ):
        assert len(answering(gateway, 10)) == 2
        other.stop()
        found = {gateway.request("PUT", "/api/profile", bearer(), {"n": n}).json["port"] for n in range(10)}
        assert found == {one.port}


def test_an_idle_connection_that_the_service_has_closed_harms_no_request(
    tmp_path: Path, redis_url: str
) -> None:
    with Upstream() as service, running(tmp_path, redis_url, user_service_urls=service.url) as gateway:
        for method in ("GET", "PUT") * 5:
            assert (
                gateway.request(method, "/api/profile", bearer(), {} if method == "PUT" else None).status
                == 200
            )
            service.close_connections()


def test_connections_to_a_service_are_kept(tmp_path: Path, redis_url: str) -> None:
    with Upstream() as service, running(tmp_path, redis_url, user_service_urls=service.url) as gateway:
        with gateway.client() as client:
            for _ in range(50):
                assert client.request("GET", "/api/profile", bearer()).status == 200
        assert service.connections == 1


def test_an_instance_that_drains_gets_no_more_and_loses_nothing(tmp_path: Path, redis_url: str) -> None:
    def drains(_request: Received, _client: socket.socket) -> bytes:
        return reply(200, {"success": True, "port": 0}, X_Draining="1", Connection="close")

    with (
        Upstream() as one,
        Upstream() as other,
        running(tmp_path, redis_url, user_service_urls=urls(one, other)) as gateway,
    ):
        other.act, other.ready = drains, False
        answers = [gateway.request("PUT", "/api/profile", bearer(), {"n": number}) for number in range(10)]
        assert {answer.status for answer in answers} == {200}
        assert len(other.received) <= 1 and len(one.received) >= 9
        one.act, one.ready = drains, False
        for _ in range(4):  # nobody else is left: both are asked for as long as they answer
            answer = gateway.request("PUT", "/api/profile", bearer(), {})
            assert (answer.status, answer.all("x-draining")) == (200, [])


def test_without_any_instance_the_answer_comes_at_once_and_so_does_recovery(
    tmp_path: Path, redis_url: str
) -> None:
    with Upstream() as service:
        service.stop()
        with running(tmp_path, redis_url, user_service_urls=service.url) as gateway:
            for method in ("GET", "PUT"):
                started = time.monotonic()
                answer = gateway.request(method, "/api/profile", bearer())
                assert (answer.status, answer.json["code"]) == (503, "service_unavailable")
                assert answer["retry-after"] == "1" and time.monotonic() - started < 2
            service.start()
            wait_until(lambda: gateway.request("GET", "/api/profile", bearer()).status == 200, 10, "recovery")


def test_a_hung_instance_costs_one_timeout_and_is_left_alone(
    tmp_path: Path, redis_url: str, instances: list[UpstreamProcess]
) -> None:
    hung, well = instances
    settings = {"user_service_urls": urls(hung, well), "upstream_timeout_seconds": 2}
    with running(tmp_path, redis_url, **settings) as gateway:
        assert len(answering(gateway)) == 2
        hung.signal(signal.SIGSTOP)
        with Load(gateway, "GET", "/api/profile", bearer(), clients=4) as load:
            wait_until(lambda: load.total > 200, 60, "traffic")
        assert set(load.outcomes) == {"200"} and load.slowest < 5
        wait_until(lambda: set(answering(gateway, 4)) == {well.port}, 20, "that it is left alone")
        hung.signal(signal.SIGCONT)
        wait_until(lambda: hung.port in answering(gateway, 4), 20, "its return")


def test_a_request_to_a_hung_service_ends_in_time(tmp_path: Path, redis_url: str) -> None:
    def hangs(_request: Received, _client: socket.socket) -> None:
        time.sleep(3)

    with Upstream(act=hangs) as service:
        settings = {
            "user_service_urls": service.url,
            "auth_service_urls": service.url,
            "upstream_timeout_seconds": 0.5,
        }
        with running(tmp_path, redis_url, **settings) as gateway:
            for method, target in (("GET", "/api/profile"), ("PUT", "/api/profile"), ("POST", "/api/login")):
                started = time.monotonic()
                answer = gateway.request(method, target, bearer())
                assert (answer.status, answer.json["code"]) == (504, "service_timeout")
                assert time.monotonic() - started < 2
            assert len(service.received) == 3


def test_a_service_that_hangs_takes_nothing_else_with_it(tmp_path: Path, redis_url: str) -> None:
    def hangs(_request: Received, _client: socket.socket) -> None:
        time.sleep(3)

    with Upstream(act=hangs) as auth, Upstream() as user:
        settings = {"user_service_urls": user.url, "auth_service_urls": auth.url}
        with running(tmp_path, redis_url, **settings) as gateway:
            with Load(gateway, "POST", "/api/login", {}, {}, clients=100) as logins:
                wait_until(lambda: len(auth.received) == 100, 20, "that many under way")
                started = time.monotonic()
                assert gateway.request("GET", "/api/health").status == 200
                assert gateway.request("GET", "/api/profile", bearer()).status == 200
                assert time.monotonic() - started < 2
            assert set(logins.outcomes) == {"502"}


def test_after_failures_in_a_row_the_circuit_opens_and_closes_again(tmp_path: Path, redis_url: str) -> None:
    def dies(_request: Received, _client: socket.socket) -> None:
        return None

    with (
        Upstream(act=dies) as service,
        running(tmp_path, redis_url, user_service_urls=service.url) as gateway,
    ):
        statuses = Counter(gateway.request("PUT", "/api/profile", bearer()).status for _ in range(20))
        assert statuses[503] > 0 and statuses[502] == len(service.received) < 20
        service.act = echo
        wait_until(lambda: gateway.request("GET", "/api/profile", bearer()).status == 200, 10, "recovery")
