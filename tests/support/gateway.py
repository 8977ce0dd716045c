"""The gateway under test as a real process, and clients that speak to it byte by byte."""

import json
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from redis import Redis

from devstack.ports import free_port
from service_kit.revocation import READY_KEY
from service_kit.tokens import TokenKeys
from tests.support.environment import JWT_SECRET, service_environment
from tests.support.service import ServiceProcess

KEYS = TokenKeys([JWT_SECRET])


def token(
    user_id: int = 7, email: str = "ann@example.com", lifetime: int = 600, now_ms: int | None = None
) -> str:
    """A token as the auth service issues them."""
    return KEYS.sign(user_id, email, lifetime, now_ms=now_ms).text


def legacy_token(user_id: int = 7, email: str = "ann@example.com", **claims: Any) -> str:
    """A token as the monolith issued them: no `iss`, no `jti`."""
    now = int(time.time())
    payload = {"userId": user_id, "email": email, "iat": now, "exp": now + 600, **claims}
    return jwt.encode(payload, JWT_SECRET, "HS256")


def bearer(text: str | None = None) -> dict[str, str]:
    """The header that presents a token."""
    return {"Authorization": f"Bearer {token() if text is None else text}"}


@dataclass
class Answer:
    """A parsed answer; names of `headers` in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str:
        """The only value of a field."""
        (value,) = self.all(name)
        return value

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return [value for key, value in self.headers if key == name.lower()]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One kept-alive connection. `send` takes bytes as they are."""

    def __init__(self, port: int, timeout: float = 20.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._buffer = b""

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """These bytes, nothing else."""
        self._socket.sendall(data)

    def end(self) -> None:
        """No more will be sent."""
        self._socket.shutdown(socket.SHUT_WR)

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        body: Any = None,
    ) -> Answer:
        """One request and its answer. A body that is no bytes goes out as JSON."""
        fields = list(headers.items() if isinstance(headers, Mapping) else headers)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            fields.append(("Content-Type", "application/json"))
        if body is not None:
            fields.append(("Content-Length", str(len(body))))
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        self.send(
            f"{method} {target} HTTP/1.1\r\nHost: gateway\r\n{lines}\r\n".encode("latin-1") + (body or b"")
        )
        return self.answer(method)

    def answer(self, method: str = "GET") -> Answer:
        """The next answer. ConnectionError when the gateway ends the connection instead."""
        head = self._until(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = [
            (name.lower(), value.strip()) for name, _, value in (field.partition(":") for field in fields)
        ]
        answer = Answer(int(line.split(" ")[1]), headers, b"")
        if answer.status >= 200 and method != "HEAD" and answer.status not in (204, 304):
            length = int(answer["content-length"])
            while len(self._buffer) < length:
                self._read()
            answer.body, self._buffer = self._buffer[:length], self._buffer[length:]
        return answer

    def is_closed(self) -> bool:
        """Waits for the next byte: True when the end comes instead."""
        try:
            return not self._buffer and not self._socket.recv(1)
        except ConnectionError:
            return True

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._read()
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _read(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the gateway ended the connection")
        self._buffer += data


class Gateway(ServiceProcess):
    """`python -m gateway_app` on free ports."""

    def __init__(self, folder: Path, redis_url: str, **settings: object) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        values = {
            "redis_url": redis_url,
            "gateway_port": self.port,
            "gateway_metrics_port": self.metrics_port,
            "redis_timeout_ms": 2000,  # for every single request that a test sends
            **settings,
        }
        super().__init__("gateway_app", service_environment(values), self.port, folder)

    def client(self, timeout: float = 20.0) -> Client:
        """A new connection."""
        return Client(self.port, timeout)

    def request(self, method: str, target: str, headers: Any = (), body: Any = None) -> Answer:
        """One request over a connection of its own."""
        with self.client() as client:
            return client.request(method, target, headers, body)

    def access_lines(self) -> list[dict[str, Any]]:
        """What it has written of requests so far."""
        lines = [line for line in self.log.splitlines() if line.startswith("{")]
        return [found for found in map(json.loads, lines) if found.get("logger") == "access"]


@contextmanager
def running(folder: Path, redis_url: str, **settings: object) -> Iterator[Gateway]:
    """A gateway whose Redis says that all revocations are there."""
    declare_ready(redis_url)
    with Gateway(folder, redis_url, **settings) as gateway:
        yield gateway


def declare_ready(redis_url: str) -> None:
    """Does what the auth service does when every live revocation is in Redis."""
    with Redis.from_url(redis_url) as redis:
        redis.set(READY_KEY, "1")
