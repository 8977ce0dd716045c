"""Over a socket: what is ambiguous, too large or no request at all never reaches a service, and is answered in the
envelope."""

import itertools

import pytest

from gateway_app.headers import HELMET
from tests.support.gateway import Answer, Client, Gateway, bearer, token
from tests.support.upstream import Upstream

SETTINGS = {"max_body_bytes": 2048}
AUTHORIZED = b"Host: a\r\nAuthorization: Bearer " + token().encode() + b"\r\n"


def is_refused(answer: Answer, status: int, code: str | None = None) -> None:
    """Status and envelope, with every field of helmet and a correlation id, as all answers have."""
    assert answer.status == status
    assert answer["content-type"] == "application/json; charset=utf-8"
    body = answer.json
    assert set(body) == {"success", "message", "code", "request_id"} and body["success"] is False
    assert body["request_id"] == answer["x-correlation-id"]
    if code is not None:
        assert body["code"] == code
    for name, value in HELMET:
        assert answer[name] == value


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: +5\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: chunked\r\n X: 1\r\n",
        b"X: 1\nContent-Length: 5\r\n",
    ],
)
def test_a_second_request_cannot_hide_in_ambiguous_framing(
    gateway: Gateway, upstream: Upstream, fields: bytes
) -> None:
    hidden = b"0\r\n\r\nGET /api/profile HTTP/1.1\r\n" + AUTHORIZED + b"\r\n"
    with gateway.client() as client:
        client.send(b"PUT /api/profile HTTP/1.1\r\n" + AUTHORIZED + fields + b"\r\n" + hidden)
        is_refused(client.answer(), 400)
        assert client.is_closed()
    assert upstream.received == []


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400),
        (b"GET /api/profile HTTP/1.1\r\n\r\n", 400),
        (b"GET /api/profile HTTP/1.1\nHost: a\n\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /api/profile HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 17_000 + b"\r\n\r\n", 431),
        (b"GET /api/profile HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 101 + b"\r\n", 431),
        (b"GET /api/profile HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n", 431),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ],
)
def test_what_is_no_request_gets_the_envelope_and_the_end(
    gateway: Gateway, upstream: Upstream, data: bytes, status: int
) -> None:
    with gateway.client() as client:
        client.send(data)
        is_refused(client.answer(), status)
        assert client.is_closed()
    assert upstream.received == []


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/api//profile", 400),
        ("GET", "/api/../internal/events", 400),
        ("GET", "/api/%2e%2e/internal/events", 400),
        ("GET", "/api%2fprofile", 400),
        ("GET", "/api/profile%00", 400),
        ("GET", "/api/profile?x=%00", 400),
        ("GET", "/api/profile\\", 400),
        ("GET", "/internal/events", 404),
        ("POST", "/internal/users/lookup", 404),
        ("GET", "/metrics", 404),
        ("GET", "/api/nope", 404),
        ("BREW", "/api/profile", 405),
        ("TRACE", "/api/profile", 405),
        ("CONNECT", "example.com:80", 405),
        ("PATCH", "/api/profile", 405),
    ],
)
def test_no_path_leads_to_an_internal_route(
    gateway: Gateway, upstream: Upstream, method: str, target: str, status: int
) -> None:
    answer = gateway.request(method, target, bearer())
    is_refused(answer, status)
    assert (answer.status == 405) == bool(answer.all("allow"))
    assert upstream.received == []


def test_a_body_over_the_limit_is_refused_before_it_is_sent(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        client.send(b"PUT /api/profile HTTP/1.1\r\n" + AUTHORIZED + b"Content-Length: 5000000000\r\n\r\n")
        is_refused(client.answer(), 413, "body_too_large")
        assert client.is_closed()
    assert upstream.received == []


def test_a_client_that_sends_its_large_body_all_the_same_still_gets_the_answer(gateway: Gateway) -> None:
    with gateway.client() as client:
        client.send(
            b"PUT /api/profile HTTP/1.1\r\n"
            + AUTHORIZED
            + b"Content-Length: 5000000\r\n\r\n"
            + b"x" * 5_000_000
        )
        is_refused(client.answer(), 413)


def test_a_chunked_body_is_cut_as_soon_as_it_is_too_large(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        client.send(b"PUT /api/profile HTTP/1.1\r\n" + AUTHORIZED + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(2):
            client.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        client.send(b"1\r\n")
        is_refused(client.answer(), 413)
    assert upstream.received == []


def test_a_chunked_body_reaches_the_service_whole_and_with_a_length(
    gateway: Gateway, upstream: Upstream
) -> None:
    with gateway.client() as client:
        client.send(b"PUT /api/profile HTTP/1.1\r\n" + AUTHORIZED + b"Transfer-Encoding: chunked\r\n\r\n")
        client.send(b"3\r\nabc\r\n2\r\n\x00d\r\n0\r\nX-User-Id: 1\r\n\r\n")
        assert client.answer().status == 200
    (request,) = upstream.received
    assert (request.body, request.get("content-length")) == (b"abc\x00d", "5")
    assert request.all("transfer-encoding") == [] and request.get("x-user-id") == "7"


def test_a_body_of_exactly_the_limit_is_passed_on(gateway: Gateway, upstream: Upstream) -> None:
    assert gateway.request("PUT", "/api/profile", bearer(), b"x" * 2048).status == 200
    assert len(upstream.received[0].body) == 2048


def test_a_client_that_waits_for_permission_gets_it(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        head = (
            b"PUT /api/profile HTTP/1.1\r\n"
            + AUTHORIZED
            + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        )
        client.send(head)
        assert client.answer().status == 100
        client.send(b"abc")
        assert client.answer().status == 200
    assert upstream.received[0].body == b"abc" and upstream.received[0].all("expect") == []


def test_a_client_that_wants_to_send_too_much_is_told_before_it_does(gateway: Gateway) -> None:
    with gateway.client() as client:
        client.send(
            b"PUT /api/profile HTTP/1.1\r\n"
            + AUTHORIZED
            + b"Expect: 100-continue\r\nContent-Length: 3000\r\n\r\n"
        )
        is_refused(client.answer(), 413)


def test_pipelined_requests_are_answered_in_order_on_one_connection(
    gateway: Gateway, upstream: Upstream
) -> None:
    with gateway.client() as client:
        targets = [f"/api/profile?n={number}" for number in range(20)]
        client.send(
            b"".join(f"GET {target} HTTP/1.1\r\n".encode() + AUTHORIZED + b"\r\n" for target in targets)
        )
        answers = [client.answer() for _ in targets]
    assert [answer.json["message"] for answer in answers] == [f"GET {target} HTTP/1.1" for target in targets]
    assert [request.target for request in upstream.received] == targets


def test_a_request_may_come_byte_by_byte(gateway: Gateway, upstream: Upstream) -> None:
    data = b"PUT /api/profile HTTP/1.1\r\n" + AUTHORIZED + b"Content-Length: 3\r\n\r\nabc"
    with gateway.client() as client:
        for number in range(len(data)):
            client.send(data[number : number + 1])
        assert client.answer().status == 200
    assert upstream.received[0].body == b"abc"


def test_a_client_that_has_sent_its_last_byte_still_gets_its_answer(
    gateway: Gateway, upstream: Upstream
) -> None:
    with gateway.client() as client:
        client.send(b"GET /api/profile HTTP/1.1\r\n" + AUTHORIZED + b"\r\n")
        client.end()
        assert client.answer().status == 200
        assert client.is_closed()


def test_an_old_client_gets_its_answer_and_the_end(gateway: Gateway) -> None:
    with gateway.client() as client:
        client.send(b"GET /api/health HTTP/1.0\r\n\r\n")
        answer = client.answer()
        assert (answer.status, answer["connection"]) == (200, "close")
        assert client.is_closed()


def test_head_is_answered_as_get_without_the_body(gateway: Gateway, upstream: Upstream) -> None:
    with gateway.client() as client:
        for target in ("/api/health", "/api/profile"):
            answer = client.request("HEAD", target, bearer())
            assert answer.status == 200 and answer.body == b""
        assert client.request("GET", "/api/health").status == 200


def test_slow_clients_keep_nobody_waiting(gateway: Gateway) -> None:
    starts = [
        b"GET /api/profile HTTP/1.1\r\nHo",
        b"PUT /api/profile HTTP/1.1\r\n" + AUTHORIZED + b"Content-Length: 9\r\n\r\nx",
    ]
    slow = [Client(gateway.port) for _ in range(300)]
    try:
        for client, start in zip(slow, itertools.cycle(starts), strict=False):
            client.send(start)
        with gateway.client(timeout=5) as quick:
            for _ in range(20):
                assert quick.request("GET", "/api/profile", bearer()).status == 200
    finally:
        for client in slow:
            client.close()


def test_every_field_of_helmet_is_on_every_answer_once(gateway: Gateway) -> None:
    for method, target in (
        ("GET", "/api/profile"),
        ("GET", "/api/health"),
        ("GET", "/api/docs"),
        ("OPTIONS", "/api/login"),
    ):
        answer = gateway.request(method, target, bearer())
        assert answer.status in (200, 204)
        for name, value in HELMET:
            assert answer[name] == value
        assert answer.all("server") == []
