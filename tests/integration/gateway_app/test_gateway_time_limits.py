"""The HTTP server alone, with short time limits: slow, silent and greedy clients cost little and end."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from gateway_app.http1 import connection as connections
from gateway_app.http1 import server as servers
from gateway_app.http1.framing import Refused, Request
from gateway_app.http1.response import Reply
from gateway_app.http1.server import HttpServer
from tests.support.gateway import Client
from tests.support.waiting import wait_until

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"


async def answer(request: Request, _peer: str) -> Reply:
    if request.target == "/fail":
        raise RuntimeError("a mistake of ours")
    return "200 OK", [], b"x" * (1_000_000 if request.target == "/large" else 3)


def refuse(refused: Refused, _peer: str) -> Reply:
    return f"{refused.status} X", [], refused.code.encode()


@contextmanager
def serving(handle: Callable[[Request, str], object] = answer) -> Iterator[HttpServer]:
    """A server in a loop of its own thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def make() -> HttpServer:
        server = HttpServer(handle, refuse, "127.0.0.1", 0, max_body_bytes=1000, fixed_headers=[])  # type: ignore[arg-type]
        await server.start()
        return server

    server = asyncio.run_coroutine_threadsafe(make(), loop).result()
    yield server
    asyncio.run_coroutine_threadsafe(server.drain(0, 0.1), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of a fraction of a second."""
    monkeypatch.setattr(connections, "REST_SECONDS", {"request": 0.6, "head": 0.3, "body": 0.3})
    monkeypatch.setattr(connections, "LINGER_SECONDS", 0.3)
    monkeypatch.setattr(connections, "SEND_SECONDS", 0.5)
    monkeypatch.setattr(servers, "SWEEP_SECONDS", 0.05)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("start", [b"GET / HT", HEAD, HEAD + b"Content-Length: 5\r\n\r\nab"])
def test_a_request_that_takes_too_long_is_told_so(start: bytes) -> None:
    with serving() as server, Client(server.port) as client:
        client.send(start)
        found = client.answer()
        assert (found.status, found.body, found["connection"]) == (408, b"request_timeout", "close")
        assert client.is_closed()


@pytest.mark.usefixtures("quick")
def test_a_request_does_not_get_more_time_by_coming_slowly() -> None:
    with serving() as server, Client(server.port) as client:
        started = time.monotonic()
        client.send(HEAD + b"Content-Length: 500\r\n\r\n")
        try:
            for _ in range(100):
                client.send(b"x")
                time.sleep(0.02)
        except ConnectionError:
            pass
        wait_until(lambda: server.connections == 0, 5, "the end")
        assert time.monotonic() - started < 4


@pytest.mark.usefixtures("quick")
def test_an_idle_connection_ends_without_a_word() -> None:
    with serving() as server, Client(server.port) as fresh, Client(server.port) as used:
        assert used.request("GET", "/").status == 200
        assert fresh.is_closed() and used.is_closed()


@pytest.mark.usefixtures("quick")
def test_a_client_that_reads_nothing_is_cut_off_and_read_no_further() -> None:
    with serving() as server, Client(server.port) as client:
        wish = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
        sent = 0
        client._socket.settimeout(1)
        try:
            while sent < 50_000_000:
                sent += client._socket.send(wish * 1000)
        except OSError:
            pass
        assert sent < 50_000_000
        wait_until(lambda: server.connections == 0, 5, "the end")


def test_a_mistake_of_ours_ends_one_connection_only() -> None:
    with serving() as server, Client(server.port) as other:
        with Client(server.port) as client:
            client.send(b"GET /fail HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.is_closed()
        assert other.request("GET", "/").status == 200


def test_there_is_a_bound_on_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "MAX_CONNECTIONS", 3)
    with serving() as server:
        clients = [Client(server.port) for _ in range(3)]
        assert [client.request("GET", "/").status for client in clients] == [200] * 3
        with Client(server.port) as one_more:
            found = one_more.answer()
            assert (found.status, found.body) == (503, b"too_many_connections")
        clients[0].close()
        wait_until(lambda: server.connections < 3, 5, "room")
        with Client(server.port) as later:
            assert later.request("GET", "/").status == 200
        for client in clients:
            client.close()
