"""One instance of a service: its address, its idle connections, and what is known of its health."""

import threading
import time
from collections import deque
from urllib.parse import urlsplit

from gateway_app.upstream.breaker import Breaker
from gateway_app.upstream.connection import Connection
from gateway_app.upstream.errors import UpstreamError
from gateway_app.upstream.wire import Response

IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS"))
MAX_IDLE = 128
MAX_IDLE_SECONDS = 20.0
"""Less than a service's own limit, so that it is us who close."""
TRUSTED_IDLE_SECONDS = 0.5


class Instance:
    """Thread safe. `reachable`: somebody listens; `ready`: and says that it can work."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.host = parts.hostname or ""
        self.port = parts.port or 80
        self.name = f"{self.host}:{self.port}"
        self._host_line = f"Host: {self.name}\r\n"
        self.reachable = True
        self.ready = True
        self.in_flight = 0
        self.breaker = Breaker()
        self._idle: deque[Connection] = deque()
        self._lock = threading.Lock()

    @property
    def rank(self) -> int:
        """0 well, 1 says that it is not ready, 2 nobody listens."""
        return 2 if not self.reachable else 0 if self.ready else 1

    def exchange(self, method: str, target: str, fields: str, body: bytes, timeout: float) -> Response:
        """Sends a request over an idle connection or a new one.

        An idle connection may have been closed by the other side meanwhile: the request goes out once more, over a
        new connection, when it provably was not taken or when its method may be repeated.
        """
        head = f"{method} {target} HTTP/1.1\r\n{self._host_line}{fields}\r\n".encode("latin-1")
        with self._lock:
            self.in_flight += 1
        try:
            connection = self._take(method in IDEMPOTENT)
            if connection is not None:
                try:
                    return self._over(connection, method, head, body, timeout)
                except UpstreamError as error:
                    if error.timed_out or (error.sent and method not in IDEMPOTENT):
                        raise
                    self.drop_idle()
            return self._over(Connection(self.host, self.port), method, head, body, timeout)
        finally:
            with self._lock:
                self.in_flight -= 1

    def _over(
        self, connection: Connection, method: str, head: bytes, body: bytes, timeout: float
    ) -> Response:
        try:
            response = connection.exchange(method, head, body, timeout)
        except BaseException:
            connection.close()
            raise
        if response.reusable and len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        return response

    def _take(self, may_repeat: bool) -> Connection | None:
        """The idle connection used last. One that has just been used is trusted, except with a request that must
        not be repeated.
        """
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            idle = time.monotonic() - connection.used_at
            if idle < MAX_IDLE_SECONDS and (
                (may_repeat and idle < TRUSTED_IDLE_SECONDS) or connection.is_alive()
            ):
                return connection
            connection.close()
        return None

    def drop_idle(self) -> None:
        """Closes all idle connections: whatever ended one of them has usually ended all."""
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    def succeeded(self) -> None:
        """It answered."""
        self.breaker.succeeded()
        if not self.reachable:
            self.reachable = True

    def failed(self, error: UpstreamError) -> bool:
        """It did not; True when its breaker opened."""
        if error.refused:
            self.reachable = False
            self.drop_idle()
            return False
        return self.breaker.failed(time.monotonic())
