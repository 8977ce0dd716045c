"""The reading side of one client connection: bytes in, whole requests out."""

import re

from gateway_app.http1.chunked import ChunkedBody, TooLarge
from gateway_app.http1.framing import (
    MAX_HEADER_BYTES,
    MAX_REQUEST_LINE_BYTES,
    Refused,
    Request,
    parse_head,
)

MAX_EMPTY_LINES = 2
"""Some old clients send an empty line behind a body; RFC 9112 2.2 lets a server skip it."""

_NO_HEAD = re.compile(rb"(?<!\r)\n|\0")
"""Bytes that no beginning of a request holds: bare line feeds, or TLS spoken to a plain port."""


class RequestReader:
    """Collects bytes until a request is whole: a slow client costs memory, never a thread."""

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body = max_body_bytes
        self._buffer = bytearray()
        self._pending: Request | None = None
        self._chunks: ChunkedBody | None = None
        self._empty_lines = 0
        self.wants_continue = False
        """A client waits for `100 Continue` before it sends the body; the server clears this."""

    @property
    def waiting_for(self) -> str:
        """`request` (nothing has come yet), `head` or `body`."""
        if self._pending is not None:
            return "body"
        return "head" if self._buffer else "request"

    @property
    def buffered(self) -> int:
        """Bytes that wait."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Takes what the socket gave."""
        self._buffer += data

    def next(self) -> Request | None:
        """The next whole request, or None until more bytes come.

        Raises:
            Refused: and after that this connection cannot be read any further.
        """
        if self._pending is None:
            self._pending = self._head()
            if self._pending is None:
                return None
            self._begin_body(self._pending)
        request = self._pending
        if not request.too_large and not self._body(request):
            return None
        self._pending = self._chunks = None
        self.wants_continue = False
        return request

    def _head(self) -> Request | None:
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):
            self._empty_lines += 1
            if self._empty_lines > MAX_EMPTY_LINES:
                raise Refused(400, "bad_request", "The request is malformed")
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n")
        if end < 0 or end > MAX_HEADER_BYTES:
            self._check_size(end)
        if end < 0:
            if _NO_HEAD.search(buffer):
                raise Refused(400, "bad_request", "The request is malformed")
            return None
        head = bytes(buffer[:end])
        del buffer[: end + 4]
        self._empty_lines = 0
        return parse_head(head)

    def _check_size(self, end: int) -> None:
        """Refuses a head that is too long, also one whose end has not come yet (`end` is -1 then)."""
        buffer = self._buffer
        line_end = buffer.find(b"\r\n", 0, MAX_REQUEST_LINE_BYTES)
        if line_end < 0 and len(buffer) >= MAX_REQUEST_LINE_BYTES:
            raise Refused(414, "uri_too_long", "The address is too long")
        if line_end >= 0 and (end if end >= 0 else len(buffer)) - line_end > MAX_HEADER_BYTES:
            raise Refused(431, "headers_too_large", "The header fields are too large")

    def _begin_body(self, request: Request) -> None:
        if request.length is None:
            return
        if request.length < 0:
            self._chunks = ChunkedBody(self._max_body)
        elif request.length > self._max_body:
            self._give_up_body(request)
            return
        self.wants_continue = request.expects_continue and not self._buffer

    def _body(self, request: Request) -> bool:
        """Whether the body is complete; it is in `request.body` then."""
        if request.length is None:
            return True
        if self._chunks is None:
            if len(self._buffer) < request.length:
                return False
            request.body = bytes(self._buffer[: request.length])
            del self._buffer[: request.length]
            return True
        try:
            body = self._chunks.take(self._buffer)
        except TooLarge:
            self._give_up_body(request)
            return True
        if body is None:
            return False
        request.body = body
        return True

    def _give_up_body(self, request: Request) -> None:
        """What follows on this connection is the body that nobody wants: it cannot carry another request."""
        request.too_large = True
        request.keep_alive = False
        self._buffer.clear()
