"""A stand-in for a service behind the gateway: a raw HTTP server that records every byte and answers as told.

`python -m tests.support.upstream PORT` runs one as a process, to be killed.
"""

import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Received:
    """One request as it came over the wire."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes
    raw: bytes = b""

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The only value of a field."""
        values = self.all(name)
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None


Act = Callable[["Received", socket.socket], bytes | None]
"""Makes the answer's bytes; None closes the connection without one."""


def reply(status: int = 200, body: bytes | dict[str, object] = b"", **headers: str) -> bytes:
    """An answer's bytes; a dict becomes JSON."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def echo(request: Received, _client: socket.socket) -> bytes:
    """Says what it was asked, as the services' envelope."""
    return reply(200, {"success": True, "message": request.line, "port": _client.getsockname()[1]})


@dataclass
class Upstream:
    """Serves on a port of its own from `start` to `stop`; `act` may be changed any time."""

    act: Act = echo
    port: int = 0
    ready: bool = True
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    _listener: socket.socket | None = None
    _clients: set[socket.socket] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Upstream":
        """Listens, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Listens no more and closes every connection, as a process that dies."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.close_connections()

    def close_connections(self) -> None:
        """Closes every connection that is open."""
        for client in tuple(self._clients):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> "Upstream":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._clients.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        counted = False
        try:
            with client:
                buffer = b""
                while (found := _read_request(client, buffer)) is not None:
                    request, buffer = found
                    if request.target == "/readyz":
                        client.sendall(self._readiness())
                        continue
                    if not counted:
                        self.connections, counted = self.connections + 1, True
                    self.received.append(request)
                    answer = self.act(request, client)
                    if answer is None:
                        return
                    client.sendall(answer)
        except OSError:
            pass
        finally:
            self._clients.discard(client)

    def _readiness(self) -> bytes:
        state = "ok" if self.ready else "unavailable"
        return reply(
            200 if self.ready else 503, {"status": state, "dependencies": {"user_db": {"status": state}}}
        )


def _read_request(client: socket.socket, buffer: bytes) -> tuple[Received, bytes] | None:
    """One request, read as lenient servers do: what follows a Content-Length is the next request."""
    while b"\r\n\r\n" not in buffer:
        data = client.recv(65536)
        if not data:
            return None
        buffer += data
    head, _, rest = buffer.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (field.partition(":") for field in fields)]
    length = sum(int(value) for name, value in headers if name.lower() == "content-length")
    while len(rest) < length:
        data = client.recv(65536)
        if not data:
            return None
        rest += data
    return Received(line, headers, rest[:length], head + b"\r\n\r\n" + rest[:length]), rest[length:]


if __name__ == "__main__":
    Upstream(port=int(sys.argv[1])).start()
    while True:
        time.sleep(3600)
