"""The user service for a test, with a client that speaks as the gateway does."""

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from flask import Flask
from sqlalchemy import Engine
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from devstack import sample
from tests.support.environment import AUTH_API_KEY, GATEWAY_API_KEY
from user_app import factory
from user_app.auth_service import HttpAccounts

PASSWORD = "secret12"


class HttpServer:
    """A WSGI application on a port of its own; a context manager."""

    def __init__(self, app: Flask) -> None:
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.port}"

    def __enter__(self) -> "HttpServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class LegacyUsers:
    """A legacy file, without users at first, and the test's own way into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        sample.make(path, users=0)

    def run(self, statement: str, *values: Any) -> list[Any]:
        """One statement, committed; the rows that it gives."""
        connection = sqlite3.connect(self.path, timeout=5)
        try:
            with connection:
                return connection.execute(statement, values).fetchall()
        finally:
            connection.close()


@dataclass
class UserService:
    """The service, its database, and its legacy file when that holds the users."""

    service: factory.Service
    engine: Engine
    auth_engine: Engine
    accounts: HttpAccounts
    legacy: LegacyUsers | None

    @property
    def side(self) -> str:
        """Where the users are."""
        return "database" if self.legacy is None else "file"

    def call(
        self, method: str, path: str, json: Any = None, user_id: int | None = None, **more: Any
    ) -> TestResponse:
        """A request as the gateway sends it; with `user_id`, of a logged-in user."""
        headers = {"X-API-Key": GATEWAY_API_KEY, "User-Agent": "tests", "X-Forwarded-For": "203.0.113.7"}
        if user_id is not None:
            headers |= identity_headers(user_id)
        headers |= more.pop("headers", {})
        return self.service.app.test_client().open(path, method=method, json=json, headers=headers, **more)

    def register(self, email: str, name: Any = "Ann Lee", password: Any = PASSWORD) -> TestResponse:
        """POST /api/register."""
        return self.call("POST", "/api/register", {"email": email, "password": password, "name": name})

    def new_user(self, email: str, name: str = "Ann Lee") -> int:
        """Id of a registered user."""
        answer = self.register(email, name)
        assert answer.status_code == 201, answer.text
        return int(answer.get_json()["user"]["id"])

    def look_up(self, email: Any) -> TestResponse:
        """POST /internal/users/lookup, as the auth service."""
        headers = {"X-API-Key": AUTH_API_KEY}
        return self.call("POST", "/internal/users/lookup", {"email": email}, headers=headers)

    def rows(self, statement: str, *values: Any) -> list[Any]:
        """Rows out of user_db."""
        with self.engine.connect() as connection:
            return list(connection.exec_driver_sql(statement, values))

    def remove(self, user_id: int) -> None:
        """Delete a user, as only an operator can."""
        if self.legacy is not None:
            self.legacy.run("DELETE FROM users WHERE id = ?", user_id)
            return
        with self.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM users WHERE id = %s", (user_id,))

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """(type, data) of every event in user_db, oldest first."""
        return [tuple(row) for row in self.rows("SELECT type, data FROM events ORDER BY id")]


def identity_headers(user_id: int, token_id: str = "token-of-a-test") -> dict[str, str]:
    """What the gateway adds to the request of a logged-in user."""
    return {
        "X-User-Id": str(user_id),
        "X-User-Email": quote("ann@example.com"),
        "X-Token-Id": token_id,
        "X-Token-Issued": "1900000000",
        "X-Token-Expires": "1900086400",
    }
