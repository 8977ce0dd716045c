"""One running gateway with both services behind it, on real servers, for all tests of the public API."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from devstack.stack import Stack

NO_LIMITS = {"RATE_LIMIT_DEFAULT": "1000000 per minute", "RATE_LIMIT_CREDENTIALS": "1000000 per minute"}


@dataclass(frozen=True)
class Answer:
    """Status, headers (lower case) and raw body of one exchange."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Api:
    """Sends one request a connection to the gateway, with any bytes for a body."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._address = url.removeprefix("http://")

    def send(self, method: str, path: str, body: Any = None, token: str = "", **headers: str) -> Answer:
        """`body`: bytes as they are, anything else as JSON. Underscores in header names stand for dashes."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        if token:
            sent["Authorization"] = f"Bearer {token}"
        connection = HTTPConnection(self._address, timeout=20)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            if body is not None and "Transfer-Encoding" not in sent:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def register(self, **fields: Any) -> Answer:
        """A new user of its own."""
        unique = f"u{secrets.token_hex(6)}@example.com"
        return self.send("POST", "/api/register", {"email": unique, "password": "sample-pass", **fields})


@pytest.fixture(scope="package")
def stack(servers_home: Path) -> Iterator[Stack]:
    """Gateway, user and auth service on PostgreSQL alone."""
    env = {"LEGACY_SQLITE_PATH": "", "BCRYPT_COST": "4", "APP_ENV": "test", **NO_LIMITS}
    stack = Stack(
        servers_home / "api", "free", env, ("gateway", "user", "auth"), durable=False, inherit=False
    )
    try:
        stack.up()
        yield stack
    finally:
        stack.reset()


@pytest.fixture
def api(stack: Stack) -> Api:
    return Api(stack.url("gateway-1"))


@pytest.fixture(scope="package")
def shared_token(stack: Stack) -> str:
    """A token that no test may log out."""
    return _token(Api(stack.url("gateway-1")))


@pytest.fixture
def token(api: Api) -> str:
    """The token of a fresh user."""
    return _token(api)


def _token(api: Api) -> str:
    answer = api.register(name="Ann")
    assert answer.status == 201, answer
    value: str = answer.json["token"]
    return value
