"""Reads one HTTP/1.1 answer of a service off a byte source. Pure but for the source."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from gateway_app.http1.chunked import ChunkedBody, TooLarge
from gateway_app.http1.framing import Refused

Headers = list[tuple[str, str]]

MAX_HEAD_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Answers are read whole before a client gets a byte of them: a GET whose instance dies in the middle can still be
asked again elsewhere. A service of ours answers a few kilobytes.
"""

_STATUS_LINE = re.compile(r"HTTP/1\.([01]) (\d{3})(?: .*)?")


class BadAnswer(Exception):
    """The service does not speak HTTP as we know it, or says too much."""


class Ended(Exception):
    """The connection ended before the answer did; `began` when at least one byte of it had come."""

    def __init__(self, began: bool) -> None:
        super().__init__("the connection ended")
        self.began = began


@dataclass(slots=True)
class Response:
    """A service's answer; names of `fields` in lower case. `reusable`: its connection may carry another request."""

    status: int
    fields: Headers
    body: bytes = b""
    reusable: bool = True
    length: int | None = None
    chunked: bool = False

    def get(self, name: str) -> str | None:
        """The first field of that lower-case name."""
        for field, value in self.fields:
            if field == name:
                return value
        return None


def read_response(receive: Callable[[], bytes], method: str) -> Response:
    """One answer. `receive` gives the next bytes, empty at the end.

    Raises:
        Ended, BadAnswer: and what `receive` raises.
    """
    buffer = receive()
    if not buffer:
        raise Ended(began=False)
    while True:
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(buffer) > MAX_HEAD_BYTES:
                raise BadAnswer("the head is too long")
            more = receive()
            if not more:
                raise Ended(began=True)
            buffer += more
            continue
        response = _parse_head(buffer[:end])
        buffer = buffer[end + 4 :]
        if response.status >= 200:
            break
    _read_body(response, buffer, receive, method)
    return response


def _parse_head(head: bytes) -> Response:
    first, *lines = head.decode("latin-1").split("\r\n")
    match = _STATUS_LINE.fullmatch(first)
    if not match or head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or b"\0" in head:
        raise BadAnswer("a malformed head")
    fields: Headers = []
    response = Response(int(match[2]), fields, reusable=match[1] == "1")
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadAnswer("a malformed field")
        name, value = name.lower(), value.strip()
        if name in _FRAMING:
            _frame(response, name, value)
        fields.append((name, value))
    return response


_FRAMING = frozenset(("content-length", "transfer-encoding", "connection"))


def _frame(response: Response, name: str, value: str) -> None:
    if name == "content-length":
        if not value.isdecimal():
            raise BadAnswer("a malformed length")
        response.length = int(value)
    elif name == "transfer-encoding":
        response.chunked = True
    elif "close" in value.lower():
        response.reusable = False


def _read_body(response: Response, buffer: bytes, receive: Callable[[], bytes], method: str) -> None:
    if method == "HEAD" or response.status in (204, 304):
        response.reusable = response.reusable and not buffer
    elif response.chunked:
        response.body = _read_chunks(bytearray(buffer), receive)
    elif response.length is not None:
        response.body = _read_exactly(buffer, response.length, receive)
    else:
        response.reusable = False
        response.body = _read_to_end(buffer, receive)


def _read_exactly(buffer: bytes, length: int, receive: Callable[[], bytes]) -> bytes:
    if length > MAX_ANSWER_BYTES or len(buffer) > length:
        raise BadAnswer("an answer of another length than announced, or too long")
    if len(buffer) == length:
        return buffer
    parts, missing = [buffer], length - len(buffer)
    while missing > 0:
        more = receive()
        if not more:
            raise Ended(began=True)
        parts.append(more)
        missing -= len(more)
    if missing < 0:
        raise BadAnswer("more than was announced")
    return b"".join(parts)


def _read_chunks(buffer: bytearray, receive: Callable[[], bytes]) -> bytes:
    chunks = ChunkedBody(MAX_ANSWER_BYTES)
    try:
        while (body := chunks.take(buffer)) is None:
            more = receive()
            if not more:
                raise Ended(began=True)
            buffer += more
    except (Refused, TooLarge) as error:
        raise BadAnswer("a malformed or endless chunked answer") from error
    return body


def _read_to_end(buffer: bytes, receive: Callable[[], bytes]) -> bytes:
    parts, size = [buffer], len(buffer)
    while more := receive():
        size += len(more)
        if size > MAX_ANSWER_BYTES:
            raise BadAnswer("too long")
        parts.append(more)
    return b"".join(parts)
