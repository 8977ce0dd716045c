"""Reads one HTTP/1.1 answer of a service out of the bytes that come. Pure."""

import re
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
_FRAMING = frozenset(("content-length", "transfer-encoding", "connection"))


class BadAnswer(Exception):
    """The service does not speak HTTP as we know it, or says too much."""


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


class ResponseReader:
    """Reads the answer to one request of `method`."""

    def __init__(self, method: str) -> None:
        self._bodiless = method == "HEAD"
        self._buffer = b""
        self._parts: list[bytes] = []
        self._size = 0
        self._response: Response | None = None
        self._chunks: ChunkedBody | None = None
        self._chunk_buffer = bytearray()

    def feed(self, data: bytes) -> Response | None:
        """The answer once it is whole. BadAnswer when it cannot be read."""
        if self._response is None:
            self._buffer = self._buffer + data if self._buffer else data
            data = self._read_head()
            if self._response is None:
                return None
        return self._read_body(self._response, data)

    def end(self) -> Response | None:
        """The connection has ended: the answer, if that was its end too."""
        response = self._response
        if response is None or self._chunks is not None or response.length is not None:
            return None
        response.body = b"".join(self._parts)
        return response

    def _read_head(self) -> bytes:
        """Sets the response when its head is there; answers what follows it."""
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > MAX_HEAD_BYTES:
                    raise BadAnswer("the head is too long")
                return b""
            response = _parse_head(self._buffer[:end])
            self._buffer = self._buffer[end + 4 :]
            if response.status >= 200:
                self._response = response
                if response.chunked and not self._bodiless:
                    self._chunks = ChunkedBody(MAX_ANSWER_BYTES)
                return self._buffer

    def _read_body(self, response: Response, data: bytes) -> Response | None:
        if self._bodiless or response.status in (204, 304):
            response.reusable = response.reusable and not data
            return response
        if self._chunks is not None:
            return self._read_chunks(self._chunks, response, data)
        if response.length == len(data) and not self._parts:
            response.body = data
            return response
        self._parts.append(data)
        self._size += len(data)
        if self._size > MAX_ANSWER_BYTES or (response.length is not None and self._size > response.length):
            raise BadAnswer("more than was announced, or too much")
        if self._size != response.length:
            response.reusable = response.reusable and response.length is not None
            return None
        response.body = b"".join(self._parts)
        return response

    def _read_chunks(self, chunks: ChunkedBody, response: Response, data: bytes) -> Response | None:
        self._chunk_buffer += data
        try:
            body = chunks.take(self._chunk_buffer)
        except (Refused, TooLarge) as error:
            raise BadAnswer("a malformed or endless chunked answer") from error
        if body is None:
            return None
        response.body = body
        response.reusable = response.reusable and not self._chunk_buffer
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


def _frame(response: Response, name: str, value: str) -> None:
    if name == "content-length":
        if not value.isdecimal() or response.length not in (None, int(value)):
            raise BadAnswer("a malformed length")
        response.length = int(value)
    elif name == "transfer-encoding":
        response.chunked = True
    elif "close" in value.lower():
        response.reusable = False
