"""Bytes become requests, or are refused: nothing that two parsers could read differently gets through."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_app.http1.framing import Refused, Request
from gateway_app.http1.reader import RequestReader

LIMIT = 1000
HOST = b"Host: a\r\n"


def read(*pieces: bytes, limit: int = LIMIT) -> list[Request]:
    """Every request in these pieces."""
    reader = RequestReader(limit)
    found = []
    for piece in pieces:
        reader.feed(piece)
        while (request := reader.next()) is not None:
            found.append(request)
    return found


def refusal(data: bytes, limit: int = LIMIT) -> int:
    """The status with which these bytes are refused."""
    with pytest.raises(Refused) as caught:
        read(data, limit=limit)
    return caught.value.status


def test_a_request_comes_out_as_it_went_in() -> None:
    data = b"PUT /api/profile?x=1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-One: 1\r\n"
    (request,) = read(data + b"x-one:  2 \r\nCookie: a=1\r\nCookie: b=2\r\nContent-Length: 4\r\n\r\n\x00abc")
    assert (request.method, request.target, request.body) == ("PUT", "/api/profile?x=1", b"\x00abc")
    assert request.fields == {
        "HTTP_HOST": "a",
        "CONTENT_TYPE": "application/json",
        "HTTP_X_ONE": "1, 2",
        "HTTP_COOKIE": "a=1; b=2",
        "CONTENT_LENGTH": "4",
    }
    assert request.keep_alive


def test_chunks_become_one_body_and_the_next_request_begins_behind_them() -> None:
    data = b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: Chunked\r\n\r\n"
    first, second = read(
        data + b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\nGET /b HTTP/1.1\r\n" + HOST + b"\r\n"
    )
    assert (first.body, second.target) == (b"abcde", "/b")
    assert "HTTP_TRAILER" not in second.fields


@pytest.mark.parametrize(
    ("lines", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Close\r\n", False),
        (b"GET / HTTP/1.0\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", True),
    ],
)
def test_the_connection_lives_on_as_the_client_says(lines: bytes, keep_alive: bool) -> None:
    assert read(lines + b"\r\n")[0].keep_alive is keep_alive


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        b"Content-Length: 3\r\nContent-Length: 3\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Content-Length: 3, 3\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: -3\r\n",
        b"Content-Length: 3 \x0b\r\n",
        b"Content-Length: 0x3\r\n",
        b"Content-Length: 3.0\r\n",
        b"Content-Length: \r\n",
        b"Content-Length: " + b"9" * 30 + b"\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: \r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: x\r\n chunked\r\n",
        b"Content-Length : 3\r\n",
        b" Content-Length: 3\r\n",
        b"Content\x00Length: 3\r\n",
        b"X: a\x00b\r\n",
        b"X: a\rb\r\n",
        b"X: a\nContent-Length: 3\r\n",
        b": empty\r\n",
        b"no colon\r\n",
        b"Host: b\r\n",
    ],
)
def test_ambiguous_or_malformed_fields_are_refused(fields: bytes) -> None:
    assert refusal(b"POST /a HTTP/1.1\r\n" + HOST + fields + b"\r\nabc") == 400


@pytest.mark.parametrize(
    "data",
    [
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GE(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / http/1.1\r\nHost: a\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\r\n\r\n\r\n\r\n",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_without_waiting_for_more(data: bytes) -> None:
    assert refusal(data) == 400


@pytest.mark.parametrize(
    "chunks",
    [
        b"3\nabc\r\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"-3\r\nabc\r\n0\r\n\r\n",
        b" 3\r\nabc\r\n0\r\n\r\n",
        b"3 3\r\nabc\r\n0\r\n\r\n",
        b"\r\nabc\r\n0\r\n\r\n",
        b"g\r\nabc\r\n0\r\n\r\n",
        b"1000000000\r\nabc\r\n",
        b"3;" + b"x" * 300,
        b"3;a\x00b\r\nabc\r\n0\r\n\r\n",
        b"0\r\n" + b"x" * 5000,
    ],
)
def test_malformed_chunks_are_refused(chunks: bytes) -> None:
    assert refusal(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks) == 400


def test_a_flood_of_tiny_chunks_is_refused() -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    assert refusal(head + b"1\r\nx\r\n" * 40_000, limit=100_000) == 400


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /" + b"a" * 9000, 414),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 16_384 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: 1\r\n" % i for i in range(101)) + b"\r\n", 431),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: something\r\n\r\n", 417),
    ],
)
def test_too_much_is_refused_with_a_status_of_its_own(data: bytes, status: int) -> None:
    assert refusal(data) == status


def test_a_head_just_under_the_limits_is_accepted() -> None:
    (request,) = read(b"GET /" + b"a" * 8191 + b" HTTP/1.1\r\nHost: a\r\nX: " + b"b" * 16_000 + b"\r\n\r\n")
    assert len(request.target) == 8192


def test_a_body_over_the_limit_is_given_up_before_it_comes() -> None:
    (request,) = read(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1001\r\n\r\n")
    assert request.too_large and not request.keep_alive and request.body == b""


def test_a_chunked_body_is_given_up_as_soon_as_it_grows_over_the_limit() -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    (request,) = read(head + b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\n")
    assert request.too_large and not request.keep_alive


@pytest.mark.parametrize("name", ["X_User_Id", "Content_Length", "Transfer_Encoding", "X-Forwarded_For"])
def test_names_with_an_underscore_never_arrive(name: str) -> None:
    (request,) = read(b"GET / HTTP/1.1\r\n" + HOST + name.encode() + b": 5\r\n\r\n")
    assert request.fields == {"HTTP_HOST": "a"}


def test_the_server_is_told_when_a_client_waits_for_permission_to_send() -> None:
    reader = RequestReader(LIMIT)
    reader.feed(b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-Continue\r\nContent-Length: 3\r\n\r\n")
    assert reader.next() is None and reader.wants_continue
    reader.feed(b"abc")
    request = reader.next()
    assert request is not None and request.body == b"abc" and not reader.wants_continue


STREAM = (
    b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n"
    b"POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    b"\r\nPOST /three HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwide\r\n0\r\n\r\n"
    b"GET /four HTTP/1.1\r\nHost: a\r\n\r\n"
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_requests_are_the_same_however_the_network_cuts_them(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]
    found = [(request.target, request.body) for request in read(*pieces)]
    assert found == [("/one", b""), ("/two", b"hello"), ("/three", b"wide"), ("/four", b"")]


@given(st.binary(max_size=400), st.sampled_from([b"", b"GET / HTTP/1.1\r\n", STREAM[:70]]))
def test_no_bytes_make_the_parser_fail_in_another_way(noise: bytes, start: bytes) -> None:
    try:
        for request in read(start + noise):
            assert len(request.body) <= LIMIT
    except Refused as refused:
        assert 400 <= refused.status < 600
