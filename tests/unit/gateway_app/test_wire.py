"""Answers of services, read whole or refused."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_app.upstream.wire import BadAnswer, Response, ResponseReader


def read(data: bytes, method: str = "GET") -> Response | None:
    return ResponseReader(method).feed(data)


def whole(data: bytes, method: str = "GET") -> Response:
    response = read(data, method)
    assert response is not None
    return response


def test_an_answer_with_a_length() -> None:
    response = whole(b"HTTP/1.1 201 Created\r\nContent-Type:  text/plain \r\nContent-Length: 3\r\n\r\nabc")
    assert (response.status, response.get("content-type"), response.body) == (201, "text/plain", b"abc")
    assert response.reusable


def test_an_interim_answer_is_skipped() -> None:
    response = whole(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert response.status == 200


def test_a_bodiless_answer_does_not_wait_for_one() -> None:
    assert whole(b"HTTP/1.1 204 X\r\n\r\n").body == b""
    assert whole(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "HEAD").body == b""
    assert whole(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD").body == b""


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.0 200 OK\r\nContent-Length: 0", b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0"],
)
def test_a_connection_that_will_end_is_not_used_again(head: bytes) -> None:
    assert not whole(head + b"\r\n\r\n").reusable


def test_an_answer_without_a_length_lasts_until_the_connection_ends() -> None:
    reader = ResponseReader("GET")
    assert reader.feed(b"HTTP/1.1 200 OK\r\n\r\nab") is None
    assert reader.feed(b"c") is None
    response = reader.end()
    assert response is not None and response.body == b"abc" and not response.reusable


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
    ],
)
def test_a_broken_answer_is_none(part: bytes) -> None:
    reader = ResponseReader("GET")
    assert reader.feed(part) is None
    assert reader.end() is None


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbroken\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
    ],
)
def test_what_is_no_proper_answer_is_refused(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        read(data)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"


@given(st.sampled_from([CHUNKED, SIZED]), st.lists(st.integers(0, 80), max_size=8))
def test_an_answer_is_the_same_however_the_network_cuts_it(data: bytes, cuts: list[int]) -> None:
    reader, response = ResponseReader("GET"), None
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        if start < end:
            assert response is None
            response = reader.feed(data[start:end])
    assert response is not None and response.body == b"hello world"
