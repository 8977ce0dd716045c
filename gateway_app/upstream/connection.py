"""One kept-alive connection to an instance of a service."""

import contextlib
import socket
import struct
import time

from gateway_app.upstream.errors import UpstreamError
from gateway_app.upstream.wire import BadAnswer, Ended, Response, read_response

CONNECT_SECONDS = 1.0
RECEIVE_BYTES = 64 * 1024


class Connection:
    """Not thread safe: a request owns it. Timeouts are the kernel's (SO_RCVTIMEO): Python's own would cost a
    second system call for every read.
    """

    __slots__ = ("_deadline", "_socket", "_timeout", "used_at")

    def __init__(self, host: str, port: int) -> None:
        """Connects. UpstreamError when nobody listens, or nobody answers."""
        try:
            self._socket = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
        except TimeoutError as error:
            raise UpstreamError("no connection in time", sent=False, timed_out=True) from error
        except OSError as error:
            raise UpstreamError("no connection", sent=False, refused=True) from error
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._timeout = 0.0
        self._deadline = 0.0
        self.used_at = time.monotonic()

    def is_alive(self) -> bool:
        """Whether it is open and silent, as a connection between two requests has to be."""
        try:
            self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def exchange(self, method: str, head: bytes, body: bytes, timeout: float) -> Response:
        """Sends a request and reads its answer within `timeout` seconds. UpstreamError when that fails."""
        self._deadline = time.monotonic() + timeout
        self._set_timeout(timeout)
        self._send(head + body if body else head)
        try:
            response = read_response(self._receive, method)
        except Ended as error:
            raise UpstreamError("the connection broke", sent=True) from error
        except BlockingIOError as error:
            raise UpstreamError("no answer in time", sent=True, timed_out=True) from error
        except (OSError, BadAnswer) as error:
            raise UpstreamError("no whole answer", sent=True) from error
        self.used_at = time.monotonic()
        return response

    def _send(self, data: bytes) -> None:
        """A request that the kernel has not taken whole cannot have been acted on."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._socket.send(view) :]
        except BlockingIOError as error:
            raise UpstreamError("the request was not taken in time", sent=False, timed_out=True) from error
        except OSError as error:
            raise UpstreamError("the connection was closed", sent=False) from error

    def _receive(self) -> bytes:
        data = self._socket.recv(RECEIVE_BYTES)
        if time.monotonic() > self._deadline:
            raise BlockingIOError("the answer takes too long")
        return data

    def _set_timeout(self, seconds: float) -> None:
        if abs(seconds - self._timeout) > self._timeout / 10:
            packed = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, packed)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, packed)
            self._timeout = seconds

    def close(self) -> None:
        """Ends it."""
        with contextlib.suppress(OSError):
            self._socket.close()
