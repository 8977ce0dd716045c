"""An HTTP/1.1 server for one WSGI application: one epoll, a fixed number of threads, a drain.

A thread takes a connection out of the epoll when bytes have come (one shot: nobody else gets it), and puts it
back when it has answered all whole requests. So connections cost no threads, and a request that is not whole
yet, however slowly it comes, holds none.
"""

import contextlib
import logging
import select
import socket
import threading
import time
from collections.abc import Callable

from gateway_app.http1.connection import Connection
from gateway_app.http1.framing import Refused, Request
from gateway_app.http1.wsgi import Application, Headers, Reply, environ_of, header_block

THREADS = 160
MAX_CONNECTIONS = 8192
BACKLOG = 1024
SWEEP_SECONDS = 0.5
_ONCE = select.EPOLLIN | select.EPOLLONESHOT

log = logging.getLogger(__name__)

Refusal = Callable[[Refused, str], tuple[str, Headers, bytes]]
"""Makes the answer (status line, headers, body) to a refused request of a peer."""


class HttpServer:
    """Serves `app` on `host:port` (port 0 takes a free one) from `start` until `drain` or `stop`.

    `fixed_headers` go out with every answer, also with those to bytes that are not a request.
    """

    def __init__(
        self,
        app: Application,
        refusal: Refusal,
        host: str,
        port: int,
        *,
        max_body_bytes: int,
        fixed_headers: Headers,
    ) -> None:
        self._app = app
        self._refusal = refusal
        self._address = (host, port)
        self._max_body = max_body_bytes
        self._fixed = header_block(fixed_headers)
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._wake, self._waker = socket.socketpair()
        self._stopped = threading.Event()
        self.draining = False

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._address[1]

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def start(self) -> None:
        """Listens and starts the threads. OSError when the port is taken."""
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        listener = socket.create_server(self._address, family=family, backlog=BACKLOG)
        listener.setblocking(False)
        self._address = (self._address[0], listener.getsockname()[1])
        self._listener = listener
        self._epoll.register(listener.fileno(), _ONCE)
        self._epoll.register(self._wake.fileno(), select.EPOLLIN)
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(THREADS)]
        self._threads.append(threading.Thread(target=self._sweep, daemon=True))
        for thread in self._threads:
            thread.start()

    def drain(self, notice: float, grace: float) -> bool:
        """Ends without failing a request; True when every connection was done in time.

        For `notice` seconds it goes on accepting and tells every client to close its connection. Then nobody new
        gets in, idle connections end, and what is being answered has `grace` seconds.
        """
        self.draining = True
        self._wait_until_empty(time.monotonic() + notice)
        self._close_listener()
        deadline = time.monotonic() + grace
        empty = self._wait_until_empty(deadline, end_idle=True)
        self.stop()
        return empty

    def stop(self) -> None:
        """Ends at once; open connections break."""
        self._stopped.set()
        self._close_listener()
        self._waker.send(b".")
        for thread in self._threads:
            thread.join(timeout=1)
        for connection in list(self._connections.values()):
            self._close(connection)

    def _wait_until_empty(self, deadline: float, end_idle: bool = False) -> bool:
        while self._connections and time.monotonic() < deadline:
            for connection in list(self._connections.values()) if end_idle else ():
                if connection.idle:
                    connection.expire()
            time.sleep(0.01)
        return not self._connections

    def _close_listener(self) -> None:
        if self._listener is not None:
            listener, self._listener = self._listener, None
            self._accept_all(listener)
            self._epoll.unregister(listener.fileno())
            listener.close()

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                events = self._epoll.poll(-1, 1)
            except (InterruptedError, ValueError, OSError):
                continue
            for descriptor, _ in events:
                connection = self._connections.get(descriptor)
                if connection is not None:
                    self._serve(connection)
                elif (listener := self._listener) is not None and descriptor == listener.fileno():
                    self._accept_all(listener)
                    with contextlib.suppress(OSError, ValueError):
                        self._epoll.modify(descriptor, _ONCE)

    def _accept_all(self, listener: socket.socket) -> None:
        while True:
            try:
                client, peer = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("accept failed", extra={"error": str(error)})
                time.sleep(0.05)
                return
            connection = Connection(client, (peer[0], peer[1]), self._max_body)
            self._connections[client.fileno()] = connection
            if len(self._connections) > MAX_CONNECTIONS:
                self._refuse(connection, Refused(503, "too_many_connections", "Too many connections"))
            connection.rest()
            self._epoll.register(client.fileno(), _ONCE)

    def _serve(self, connection: Connection) -> None:
        """Reads once, answers every request that is whole, puts the connection back."""
        try:
            if self._answer_all(connection):
                connection.rest()
                self._epoll.modify(connection.descriptor, _ONCE)
            else:
                self._close(connection)
        except (ConnectionError, TimeoutError):
            self._close(connection)
        except Exception:
            log.exception("a connection failed")
            self._close(connection)

    def _answer_all(self, connection: Connection) -> bool:
        """Whether the connection goes on."""
        data = connection.receive()
        if data is None:
            return True
        if not data:
            if connection.expired and connection.reader.waiting_for != "request":
                self._refuse(connection, Refused(408, "request_timeout", "The request took too long"))
            return False
        if connection.lingering:
            return True
        try:
            connection.reader.feed(data)
            while (request := connection.reader.next()) is not None:
                if not self._answer(connection, request):
                    connection.linger()
                    return True
        except Refused as refused:
            self._refuse(connection, refused)
            return True
        if connection.reader.wants_continue:
            connection.reader.wants_continue = False
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _answer(self, connection: Connection, request: Request) -> bool:
        """Runs the application; whether the connection may carry another request."""
        reply = Reply(request, request.keep_alive and not self.draining, self._fixed)
        environ = environ_of(request, connection.peer, self._address)
        body = self._app(environ, reply.start)
        try:
            for part in reply.parts(body):
                connection.send(part)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
        return reply.keep_alive

    def _refuse(self, connection: Connection, refused: Refused) -> None:
        status, headers, body = self._refusal(refused, connection.peer[0])
        reply = Reply(Request("GET", "/", 1), False, self._fixed)
        reply.start(status, headers)
        for part in reply.parts([body]):
            connection.send(part)
        connection.linger()

    def _sweep(self) -> None:
        """Ends connections that have been idle, or slow, for too long."""
        while not self._stopped.wait(SWEEP_SECONDS):
            now = time.monotonic()
            for connection in list(self._connections.values()):
                if connection.resting and connection.deadline < now:
                    connection.expire()

    def _close(self, connection: Connection) -> None:
        self._connections.pop(connection.descriptor, None)
        connection.close()
