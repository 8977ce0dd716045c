"""Calls between services: answers are handed on, failures are Unavailable, dead instances are passed by."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from service_kit.errors import Unavailable
from service_kit.log import correlated
from service_kit.service_client import ServiceClient

Reply = tuple[int, bytes, dict[str, str]]


class Instance:
    """A service instance whose `reply` the test decides; it notes the requests that it gets."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, bytes, dict[str, str]]] = []
        self.reply: Callable[[], Reply | None] = lambda: (200, b'{"by": "me"}', {})
        instance = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                instance.requests.append((self.command, self.path, body, dict(self.headers)))
                reply = instance.reply()
                if reply is None:  # the process dies before it answers
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                status, content, headers = reply
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Nobody listens any more."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def instances() -> Iterator[list[Instance]]:
    """Two instances of a service."""
    made = [Instance(), Instance()]
    yield made
    for instance in made:
        instance.stop()


def client_of(instances: list[Instance], timeout: float = 5.0) -> ServiceClient:
    return ServiceClient("other", [each.url for each in instances], "sample-key-of-a-test", timeout=timeout)


def test_a_call_carries_key_correlation_id_and_json(instances: list[Instance]) -> None:
    with correlated("id-of-this-test"):
        answer = client_of(instances[:1]).call("PUT", "/x", {"name": "é\ud800"})
    assert (answer.status, answer.body) == (200, {"by": "me"})
    method, path, body, headers = instances[0].requests[0]
    assert (method, path, json.loads(body)) == ("PUT", "/x", {"name": "é\ud800"})
    assert headers["X-API-Key"] == "sample-key-of-a-test"
    assert headers["X-Correlation-ID"] == "id-of-this-test"
    assert headers["Content-Type"] == "application/json"


def test_instances_take_turns(instances: list[Instance]) -> None:
    client = client_of(instances)
    for _ in range(6):
        client.call("GET", "/x")
    assert [len(each.requests) for each in instances] == [3, 3]


@pytest.mark.parametrize("status", [200, 201, 400, 404, 409])
def test_an_answer_is_the_callers_to_judge(instances: list[Instance], status: int) -> None:
    instances[0].reply = lambda: (status, b'{"code": "x"}', {})
    answer = client_of(instances[:1]).call("GET", "/x")
    assert (answer.status, answer.body) == (status, {"code": "x"})


@pytest.mark.parametrize(
    "reply",
    [(500, b"{}", {}), (503, b"", {"Retry-After": "7"}), (401, b"{}", {}), (200, b"<html>", {})],
)
def test_what_is_no_answer_is_unavailable(instances: list[Instance], reply: Reply) -> None:
    instances[0].reply = lambda: reply
    with pytest.raises(Unavailable) as away:
        client_of(instances[:1]).call("GET", "/x")
    assert away.value.retry_after == (7 if reply[0] == 503 else 1)


def test_a_dead_instance_costs_no_call_not_even_an_unrepeatable_one(instances: list[Instance]) -> None:
    client = client_of(instances)
    instances[0].stop()
    for number in range(20):
        assert client.call("POST", "/x", {}, repeatable=number % 2 == 0).status == 200
    assert len(instances[1].requests) == 20


def test_an_instance_that_dies_before_its_answer_is_not_asked_twice_for_what_is_unrepeatable(
    instances: list[Instance],
) -> None:
    instances[0].reply = instances[1].reply = lambda: None
    with pytest.raises(Unavailable):
        client_of(instances).call("POST", "/x", {}, repeatable=False)
    assert sum(len(each.requests) for each in instances) == 1


def test_a_repeatable_call_goes_to_the_next_instance(instances: list[Instance]) -> None:
    instances[0].reply = lambda: None
    client = client_of(instances)
    assert [client.call("PUT", "/x", {}).status for _ in range(4)] == [200] * 4


def test_an_instance_that_hangs_is_given_up_after_the_timeout(instances: list[Instance]) -> None:
    over = threading.Event()

    def hang() -> Reply | None:
        over.wait(20)
        return None

    instances[0].reply = hang
    with pytest.raises(Unavailable):
        client_of(instances[:1], timeout=0.2).call("GET", "/x")
    over.set()


def test_a_connection_that_was_closed_while_idle_is_opened_anew(instances: list[Instance]) -> None:
    client = client_of(instances[:1])
    instances[0].reply = lambda: (200, b"{}", {"Connection": "close"})
    for _ in range(3):
        assert client.call("POST", "/x", {}, repeatable=False).status == 200


def test_nobody_there_is_unavailable_at_once(instances: list[Instance]) -> None:
    client = client_of(instances)
    for each in instances:
        each.stop()
    with pytest.raises(Unavailable):
        client.call("GET", "/x")
