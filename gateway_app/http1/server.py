"""An HTTP/1.1 server on the event loop, for one handler; it ends without failing a request."""

import asyncio
import socket
import time

from gateway_app.http1.connection import ClientConnection, Handler, Refusal
from gateway_app.http1.listener import listen, refuse_new_connections
from gateway_app.http1.response import Headers, header_block

MAX_CONNECTIONS = 8192
BACKLOG = 1024
SWEEP_SECONDS = 0.5
LATE_REQUEST_SECONDS = 5.0
"""How long a request that has begun to come may take to be whole once the drain is on."""
HANDSHAKE_SECONDS = 0.1
"""Time for connections that were asked for before the drain to be accepted."""


class HttpServer:
    """Serves on `host:port` (port 0 takes a free one) from `start` until `drain`.

    `handle` answers requests, `refuse` what is none. `fixed_headers` go out with every answer.
    """

    def __init__(
        self,
        handle: Handler,
        refuse: Refusal,
        host: str,
        port: int,
        *,
        max_body_bytes: int,
        fixed_headers: Headers,
    ) -> None:
        self.handle = handle
        self.refuse = refuse
        self.fixed_lines = header_block(fixed_headers)
        self.max_body_bytes = max_body_bytes
        self.draining = False
        self._address = (host, port)
        self._connections: set[ClientConnection] = set()
        self._socket: socket.socket | None = None
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._address[1]

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def opened(self, connection: ClientConnection) -> bool:
        """Takes note of a connection; False when there are too many."""
        self._connections.add(connection)
        return len(self._connections) <= MAX_CONNECTIONS

    def closed(self, connection: ClientConnection) -> None:
        """Forgets a connection."""
        self._connections.discard(connection)

    async def start(self) -> None:
        """Listens. OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        host, port = self._address
        self._socket = listen(host, port, BACKLOG)
        self._address = (host, self._socket.getsockname()[1])
        self._listener = await loop.create_server(
            lambda: ClientConnection(self), sock=self._socket, backlog=BACKLOG
        )
        self._sweeper = loop.create_task(self._sweep())

    async def drain(self, notice: float, grace: float) -> bool:
        """Ends without failing a request; True when every connection was done in time.

        For `notice` seconds it goes on accepting and tells every client to close its connection. Then nobody new
        gets in, idle connections end, and what is being answered has `grace` seconds.
        """
        self.draining = True
        await self._empty(time.monotonic() + notice, close_idle=False)
        if self._listener is not None and self._socket is not None:
            refuse_new_connections(self._socket)
            await asyncio.sleep(HANDSHAKE_SECONDS)
            self._listener.close()
        for connection in self._connections:
            if not connection.busy:
                connection.deadline = min(connection.deadline, time.monotonic() + LATE_REQUEST_SECONDS)
        empty = await self._empty(time.monotonic() + grace, close_idle=True)
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in tuple(self._connections):
            connection.expire()
        return empty

    async def _empty(self, deadline: float, *, close_idle: bool) -> bool:
        while self._connections and time.monotonic() < deadline:
            for connection in tuple(self._connections) if close_idle else ():
                connection.close_if_idle()
            await asyncio.sleep(0.01)
        return not self._connections

    async def _sweep(self) -> None:
        """Ends connections that have been idle, or slow, for too long."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = time.monotonic()
            for connection in tuple(self._connections):
                if connection.deadline < now:
                    connection.expire()
