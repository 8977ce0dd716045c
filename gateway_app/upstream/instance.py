"""One instance of a service: its address, its idle connections, and what is known of its health."""

import ssl
import time
from collections import deque
from urllib.parse import urlsplit

from gateway_app.upstream.breaker import Breaker
from gateway_app.upstream.connection import Connection, connect
from gateway_app.upstream.errors import UpstreamError
from gateway_app.upstream.wire import Response

IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS"))
MAX_IDLE = 128
MAX_IDLE_SECONDS = 20.0
"""Less than a service's own limit, so that it is us who close."""


class Instance:
    """Lives in the event loop. `reachable`: somebody listens; `ready`: and says that it can work."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._tls else 80)
        self.name = parts.netloc
        self._host_line = f"Host: {self.name}\r\n"
        self.reachable = True
        self.ready = True
        self.in_flight = 0
        self.breaker = Breaker()
        self._idle: deque[Connection] = deque()

    @property
    def rank(self) -> int:
        """0 well, 1 says that it is not ready, 2 nobody listens."""
        return 2 if not self.reachable else 0 if self.ready else 1

    async def connect(self) -> Connection:
        """A new connection, which the caller has to close."""
        return await connect(self._host, self._port, self._tls)

    async def exchange(self, method: str, target: str, fields: str, body: bytes, timeout: float) -> Response:
        """Sends a request over an idle connection or a new one.

        An idle connection may have been closed by the other side meanwhile: a request that may be repeated goes out
        once more, over a new one. Others take an idle connection only after a look at its socket.
        """
        head = f"{method} {target} HTTP/1.1\r\n{self._host_line}{fields}\r\n".encode("latin-1", "replace")
        request = head + body if body else head
        self.in_flight += 1
        try:
            connection = self._take(method)
            if connection is not None:
                try:
                    return await self._over(connection, method, request, timeout)
                except UpstreamError as error:
                    if error.timed_out or (error.sent and method not in IDEMPOTENT):
                        raise
                    self.drop_idle()
            return await self._over(await self.connect(), method, request, timeout)
        finally:
            self.in_flight -= 1

    async def _over(self, connection: Connection, method: str, request: bytes, timeout: float) -> Response:
        try:
            response = await connection.exchange(method, request, timeout)
        except BaseException:
            connection.close()
            raise
        if response.reusable and len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        return response

    def _take(self, method: str) -> Connection | None:
        """The idle connection used last, if it is still good."""
        while self._idle:
            connection = self._idle.pop()
            fresh = time.monotonic() - connection.used_at < MAX_IDLE_SECONDS and connection.is_alive()
            if fresh and (method in IDEMPOTENT or connection.is_silent()):
                return connection
            connection.close()
        return None

    def drop_idle(self) -> None:
        """Closes all idle connections: whatever ended one of them has usually ended all."""
        while self._idle:
            self._idle.pop().close()

    def succeeded(self) -> None:
        """It answered."""
        self.breaker.succeeded()
        if not self.reachable:
            self.reachable = True

    def drains(self) -> None:
        """It answered that it will end: others are asked, and nothing goes over connections that it may close."""
        self.ready = False
        self.drop_idle()

    def failed(self, error: UpstreamError) -> bool:
        """It did not; True when its breaker opened."""
        if error.refused:
            self.reachable = False
            self.drop_idle()
            return False
        return self.breaker.failed(time.monotonic())
