"""One client's connection: its socket, what has been read of the next request, and until when it may rest."""

import contextlib
import select
import socket
import time

from gateway_app.http1.reader import RequestReader

RECEIVE_BYTES = 64 * 1024
SEND_SECONDS = 15.0
"""How long a client may take to read a part of an answer that does not fit in the socket's buffer."""
LINGER_SECONDS = 3.0
"""After a last answer the client's remaining bytes are read and dropped for so long: closing at once would reset
the connection, and the client might lose the answer."""
REST_SECONDS = {"request": 75.0, "head": 10.0, "body": 30.0}
"""How long a connection may rest before the next request, and how long a head and a body may take."""


class Connection:
    """Owned by the thread that took it out of the epoll, by nobody while it `rests` there."""

    __slots__ = (
        "_phase",
        "_socket",
        "deadline",
        "descriptor",
        "expired",
        "lingering",
        "peer",
        "reader",
        "resting",
    )

    def __init__(self, client: socket.socket, peer: tuple[str, int], max_body_bytes: int) -> None:
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = client
        self.descriptor = client.fileno()
        self.peer = peer
        self.reader = RequestReader(max_body_bytes)
        self._phase = ""
        self.deadline = 0.0
        self.resting = False
        self.expired = False
        self.lingering = False

    @property
    def idle(self) -> bool:
        """No request is being read or answered."""
        return self.resting and (self.lingering or self.reader.waiting_for == "request")

    def rest(self) -> None:
        """Notes until when it may wait for bytes; a head or a body does not get more time by coming slowly."""
        phase = "request" if self.lingering else self.reader.waiting_for
        if not self.lingering and (phase == "request" or phase != self._phase):
            self.deadline = time.monotonic() + REST_SECONDS[phase]
        self._phase = phase
        self.resting = True

    def receive(self) -> bytes | None:
        """What has come: None is nothing yet, empty is the end."""
        self.resting = False
        try:
            return self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return None

    def send(self, data: bytes) -> None:
        """Sends all of it. TimeoutError when the client does not read, ConnectionError when it is gone."""
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._send_slowly(memoryview(data)[sent:])

    def _send_slowly(self, rest: memoryview) -> None:
        poll = select.poll()
        poll.register(self.descriptor, select.POLLOUT)
        while rest:
            if not poll.poll(SEND_SECONDS * 1000):
                raise TimeoutError("the client does not read its answer")
            with contextlib.suppress(BlockingIOError):
                rest = rest[self._socket.send(rest) :]

    def linger(self) -> None:
        """Nothing more is sent; what the client still sends is dropped for a while."""
        self.lingering = True
        self.deadline = time.monotonic() + LINGER_SECONDS
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def expire(self) -> None:
        """Wakes its next owner with an end of input, behind whatever has come before. Any thread may call it."""
        self.expired = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Ends it."""
        with contextlib.suppress(OSError):
            self._socket.close()
