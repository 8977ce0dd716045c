"""One kept-alive connection to an instance of a service."""

import asyncio
import select
import socket
import ssl
import time
from typing import cast

from gateway_app.upstream.errors import UpstreamError
from gateway_app.upstream.wire import BadAnswer, Response, ResponseReader

CONNECT_SECONDS = 1.0


async def connect(host: str, port: int, tls: ssl.SSLContext | None = None) -> "Connection":
    """A new connection. UpstreamError when nobody listens, or nobody answers."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, connection = await loop.create_connection(Connection, host, port, ssl=tls)
    except TimeoutError as error:
        raise UpstreamError("no connection in time", sent=False, timed_out=True) from error
    except OSError as error:
        raise UpstreamError("no connection", sent=False, refused=True) from error
    return connection


class Connection(asyncio.Protocol):
    """Carries one exchange at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader: ResponseReader | None = None
        self._answer: asyncio.Future[Response] | None = None
        self.used_at = 0.0

    def is_alive(self) -> bool:
        """Whether it is open, as far as the event loop has noticed."""
        return self._transport is not None and not self._transport.is_closing()

    def is_silent(self) -> bool:
        """Whether nothing has come, an end included, that the event loop has not noticed yet."""
        if self._transport is None:
            return False
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket"), select.POLLIN)
        return not poll.poll(0)

    async def exchange(self, method: str, request: bytes, timeout: float) -> Response:
        """Sends a request and reads its answer within `timeout` seconds. UpstreamError when that fails."""
        if self._transport is None:
            raise UpstreamError("the connection was closed", sent=False)
        self._reader = ResponseReader(method)
        self._answer = self._loop.create_future()
        timer = self._loop.call_later(timeout, self._give_up)
        self._transport.write(request)
        try:
            response = await self._answer
        finally:
            timer.cancel()
            self._answer = self._reader = None
        self.used_at = time.monotonic()
        return response

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast(asyncio.Transport, transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """A part of an answer; bytes that nobody has asked for end the connection."""
        if self._reader is None or self._answer is None or self._answer.done():
            self.close()
            return
        try:
            response = self._reader.feed(data)
        except BadAnswer as error:
            self._fail(UpstreamError(f"no proper answer: {error}", sent=True))
            self.close()
            return
        if response is not None:
            self._answer.set_result(response)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, which may be the end of an answer too."""
        self._transport = None
        if self._reader is not None and self._answer is not None and not self._answer.done():
            response = self._reader.end() if exc is None else None
            if response is not None:
                self._answer.set_result(response)
            else:
                self._fail(UpstreamError("the connection broke", sent=True))

    def close(self) -> None:
        """Ends it."""
        if self._transport is not None:
            self._transport.abort()

    def _give_up(self) -> None:
        self._fail(UpstreamError("no answer in time", sent=True, timed_out=True))

    def _fail(self, error: UpstreamError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
