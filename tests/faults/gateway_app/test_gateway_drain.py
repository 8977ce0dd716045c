"""The gateway ends without failing a request that it has taken."""

import socket
import threading
import time
from pathlib import Path

import pytest

from tests.faults.gateway_app.load import Load
from tests.support.gateway import Answer, Gateway, bearer, declare_ready
from tests.support.upstream import Received, Upstream, echo
from tests.support.waiting import wait_until


def slow(request: Received, client: socket.socket) -> bytes:
    time.sleep(1.5)
    return echo(request, client)


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_sigterm_under_keep_alive_load_fails_no_request(tmp_path: Path, redis_url: str, method: str) -> None:
    declare_ready(redis_url)
    with Upstream() as service:
        gateway = Gateway(tmp_path, redis_url, user_service_urls=service.url).start()
        body = {"name": "x"} if method == "PUT" else None
        with Load(gateway, method, "/api/profile", bearer(), body, clients=16) as load:
            wait_until(lambda: load.total > 300, 30, "traffic")
            gateway.stop()
            wait_until(lambda: load.outcomes["refused"] == 16, 20, "the end of all clients")
        assert set(load.outcomes) == {"200", "refused"}, load.said
        assert len(service.received) == load.outcomes["200"]
    assert '"all_answered": true' in gateway.log


def test_what_is_being_answered_is_answered_and_the_idle_end(tmp_path: Path, redis_url: str) -> None:
    declare_ready(redis_url)
    with Upstream(act=slow) as service:
        gateway = Gateway(tmp_path, redis_url, user_service_urls=service.url).start()
        answers: list[Answer] = []
        idle = gateway.client()
        assert idle.request("GET", "/api/health").status == 200
        threads = [
            threading.Thread(
                target=lambda: answers.append(gateway.request("PUT", "/api/profile", bearer(), {}))
            )
            for _ in range(10)
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(service.received) == 10, 10, "all of them under way")
        gateway.stop()
        for thread in threads:
            thread.join()
        assert [answer.status for answer in answers] == [200] * 10
        assert {answer["connection"] for answer in answers} == {"close"}
        assert idle.is_closed()


def test_while_it_drains_it_says_so(tmp_path: Path, redis_url: str) -> None:
    declare_ready(redis_url)
    with Upstream(act=slow) as service:
        gateway = Gateway(tmp_path, redis_url, user_service_urls=service.url).start()
        with gateway.client() as busy, gateway.client() as probe:
            assert probe.request("GET", "/readyz").status == 200
            busy.send(b"GET /api/profile HTTP/1.1\r\nHost: a\r\n")
            busy.send(b"Authorization: " + bearer()["Authorization"].encode() + b"\r\n\r\n")
            wait_until(lambda: service.received, 10, "a request under way")
            stopper = threading.Thread(target=gateway.stop)
            stopper.start()
            wait_until(lambda: '"draining"' in gateway.log, 10, "the signal")
            answer = probe.request("GET", "/readyz")
            assert (answer.status, answer["connection"]) == (503, "close")
            assert busy.answer().status == 200
            stopper.join()


def test_a_taken_port_is_said_in_one_line(tmp_path: Path, redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gateway = Gateway(tmp_path, redis_url)
        gateway.environ["GATEWAY_PORT"] = str(taken.getsockname()[1])
        with pytest.raises(AssertionError):
            gateway.start()
        assert f"cannot listen on port {taken.getsockname()[1]}" in gateway.log
        assert "Traceback" not in gateway.log
