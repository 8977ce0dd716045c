"""One client's connection: whole requests in, one at a time, answers out; every state has a time limit."""

import asyncio
import logging
import select
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from gateway_app.http1.framing import Refused, Request
from gateway_app.http1.reader import RequestReader
from gateway_app.http1.response import Reply, render

LINGER_SECONDS = 3.0
"""After a last answer the client's remaining bytes are read and dropped for so long: closing at once would reset the
connection, and the client might lose the answer."""
REST_SECONDS = {"request": 75.0, "head": 10.0, "body": 30.0}
"""How long a connection may rest before the next request, and how long a head and a body may take."""
SEND_SECONDS = 15.0
"""How long a client may take to read an answer that does not fit in the buffers."""
MAX_AHEAD_BYTES = 64 * 1024
"""What a client may send ahead while its request is being answered."""

log = logging.getLogger(__name__)


Handler = Callable[[Request, str], Awaitable[Reply]]
"""Makes the answer to a request of a peer."""
Refusal = Callable[[Refused, str], Reply]
"""Makes the answer to a peer's bytes that are not a request."""


class Host(Protocol):
    """What a connection needs of its server."""

    draining: bool
    fixed_lines: str
    max_body_bytes: int
    handle: Handler
    refuse: Refusal

    def opened(self, connection: "ClientConnection") -> bool:
        """Takes note of a connection; False when there are too many."""

    def closed(self, connection: "ClientConnection") -> None:
        """Forgets it."""


class ClientConnection(asyncio.Protocol):
    """Lives in the event loop. `deadline` (monotonic seconds) is watched by the server, which calls `expire`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._reader = RequestReader(host.max_body_bytes)
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._task: asyncio.Task[None] | None = None
        self._phase = ""
        self._ended = False
        self._stalled = False
        self._lingering = False
        self.deadline = 0.0

    @property
    def busy(self) -> bool:
        """A request is being answered."""
        return self._task is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if peer else ""
        self._rest()
        if not self._host.opened(self):
            self._refuse(Refused(503, "too_many_connections", "Too many connections"))

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._lingering:
            return
        self._reader.feed(data)
        if self._task is None and not self._stalled:
            self._go_on()
        elif self._reader.buffered > MAX_AHEAD_BYTES and self._transport is not None:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The client sends no more; it still gets the answer that it waits for."""
        self._ended = True
        return self._task is not None

    def connection_lost(self, _exc: Exception | None) -> None:
        """It is gone. A request that is under way is carried through: it may have been acted on."""
        self._transport = None
        self._host.closed(self)

    def pause_writing(self) -> None:
        """The client does not read."""
        self._stalled = True
        self.deadline = time.monotonic() + SEND_SECONDS

    def resume_writing(self) -> None:
        """The client reads again."""
        self._stalled = False
        if self._lingering:
            self.deadline = time.monotonic() + LINGER_SECONDS
        elif self._task is None:
            self._next()

    def expire(self) -> None:
        """Its time is over."""
        if self._transport is None:
            return
        if self._stalled or self._lingering:
            self._transport.abort()
        elif self._reader.waiting_for == "request":
            self._transport.close()
        else:
            self._refuse(Refused(408, "request_timeout", "The request took too long"))

    def close_if_idle(self) -> None:
        """Ends it unless something is under way, or has just come and not been read yet."""
        if self._transport is None or self._task is not None or self._reader.waiting_for != "request":
            return
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket"), select.POLLIN)
        if self._lingering or not poll.poll(0):
            self._transport.close()

    def _go_on(self) -> None:
        """Starts on the next request if it is there."""
        if self._transport is None:
            return
        try:
            request = self._reader.next()
        except Refused as refused:
            self._refuse(refused)
            return
        if request is None:
            if self._ended:
                self._transport.close()
                return
            if self._reader.wants_continue:
                self._reader.wants_continue = False
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._rest()
            return
        self.deadline = float("inf")
        self._task = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        try:
            reply = await self._host.handle(request, self._peer)
            keep_alive = request.keep_alive and not self._host.draining and not self._ended
            data = render(request, reply, self._host.fixed_lines, keep_alive=keep_alive)
        except Exception:
            log.exception("a connection failed")
            if self._transport is not None:
                self._transport.abort()
            return
        finally:
            self._task = None
        if self._transport is None:
            return
        self._transport.write(data)
        if not keep_alive:
            self._linger()
            return
        if not self._stalled:
            self._next()

    def _next(self) -> None:
        """An answer is out: now the next request."""
        self._phase = ""
        if self._transport is not None:
            self._transport.resume_reading()
        self._rest()
        if self._reader.buffered or self._ended:
            self._go_on()

    def _refuse(self, refused: Refused) -> None:
        if self._transport is None:
            return
        reply = self._host.refuse(refused, self._peer)
        self._transport.write(render(Request("GET", "/", 1), reply, self._host.fixed_lines, keep_alive=False))
        self._linger()

    def _linger(self) -> None:
        self._lingering = True
        self.deadline = time.monotonic() + (SEND_SECONDS if self._stalled else LINGER_SECONDS)
        if self._transport is not None:
            if self._ended:
                self._transport.close()
            elif not self._transport.is_closing():
                self._transport.resume_reading()
                self._transport.write_eof()

    def _rest(self) -> None:
        """Sets the time limit; a head or a body does not get more time by coming slowly."""
        phase = self._reader.waiting_for
        if phase != self._phase or phase == "request":
            self.deadline = time.monotonic() + REST_SECONDS[phase]
        self._phase = phase
