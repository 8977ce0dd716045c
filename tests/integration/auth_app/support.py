"""Speaking to the auth service as the gateway and the user service do."""

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import bcrypt
import jwt
from redis import Redis
from sqlalchemy import Engine
from werkzeug.test import TestResponse

from auth_app.factory import Service
from devstack.sample import TABLE
from service_kit.revocation import READY_KEY, is_revoked, token_key, user_key
from service_kit.tokens import Claims, TokenKeys
from tests.support.environment import GATEWAY_API_KEY, JWT_SECRET, USER_API_KEY

KEYS = TokenKeys([JWT_SECRET])
PASSWORD = "secret12"
NO_TEXTS: tuple[Any, ...] = (..., None, "", 0, 123456, 5.5, True, False, [], {}, ["secret12"], {"a": 1})
"""What a field that must be a text may hold instead; `...` stands for nothing at all."""


def bcrypt_hash(password: str = PASSWORD) -> str:
    """A hash as the legacy server wrote it, but cheap."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4, prefix=b"2a")).decode()


def legacy_token(user_id: int, email: str = "ann@example.com", age: int = 10) -> str:
    """A token as the legacy server issued it, `age` seconds ago."""
    issued = int(time.time()) - age
    claims = {"userId": user_id, "email": email, "iat": issued, "exp": issued + 86400}
    return jwt.encode(claims, JWT_SECRET, "HS256")


class LegacyUsers:
    """A legacy file with the monolith's table."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run(TABLE)

    def run(self, statement: str, *values: Any) -> list[Any]:
        """One statement, as the legacy server or a shell would run it."""
        with sqlite3.connect(self.path) as connection:
            return connection.execute(statement, values).fetchall()

    def add(self, email: str, stored: Any, name: Any = "Ann Lee") -> int:
        """A user; answers the id."""
        self.run("INSERT INTO users (email, password, name) VALUES (?, ?, ?)", email, stored, name)
        return int(self.run("SELECT id FROM users WHERE email = ?", email)[0][0])


@dataclass
class UserService:
    """The user service on a port, and the way into user_db."""

    url: str
    engine: Engine

    def add(self, user_id: int, email: str, name: str | None = "Ann Lee") -> None:
        """An active user, as the migration brings one."""
        with self.engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL migration.applying = 'on'")
            connection.exec_driver_sql(
                "INSERT INTO users (id, email, name) VALUES (%s, %s, %s)", (user_id, email, name)
            )


@dataclass
class AuthService:
    """The application, called in this process, with what the test needs to look behind it."""

    service: Service
    engine: Engine
    redis_url: str
    legacy: LegacyUsers | None
    users: UserService | None = None

    @property
    def keeper(self) -> Any:
        return self.service.keeper

    def add_user(self, email: str = "ann@example.com", password: str = PASSWORD, user_id: int = 1) -> int:
        """A user with a credential on the side that is the truth; answers the id."""
        return self.add_hash(email, bcrypt_hash(password), user_id)

    def add_hash(self, email: str, stored: str, user_id: int = 1) -> int:
        """The same, with this hash."""
        if self.legacy is not None:
            return self.legacy.add(email, stored)
        answer = self.internal("PUT", f"/internal/credentials/{user_id}", {"hash": stored})
        assert answer.status_code == 201, answer.text
        if self.users is not None:
            self.users.add(user_id, email)
        return user_id

    def public(
        self, method: str, path: str, body: Any = None, token: str | None = None, **more: Any
    ) -> TestResponse:
        """A request as the gateway hands it on, with the identity in `token`."""
        headers = {"X-API-Key": GATEWAY_API_KEY, "X-Forwarded-For": "198.51.100.7", "User-Agent": "a browser"}
        if token is not None:
            claims = KEYS.verify(token)
            headers |= {
                "X-User-Id": str(claims.user_id),
                "X-User-Email": quote(claims.email),
                "X-Token-Id": claims.token_id,
                "X-Token-Issued": str(claims.issued_at),
                "X-Token-Expires": str(claims.expires_at),
            }
        client = self.service.app.test_client()
        return client.open(path, method=method, json=body, headers=headers | more.pop("headers", {}), **more)

    def internal(self, method: str, path: str, body: Any = None) -> TestResponse:
        """A request of the user service."""
        client = self.service.app.test_client()
        return client.open(path, method=method, json=body, headers={"X-API-Key": USER_API_KEY})

    def open_session(self, user_id: int, **more: Any) -> str:
        """A token that the user service asks for."""
        body = {"user_id": user_id, "email": "ann@example.com", "ip": "198.51.100.7", "user_agent": "a phone"}
        answer = self.internal("POST", "/internal/sessions", body | more)
        assert answer.status_code == 201, answer.text
        return str(answer.get_json()["token"])

    def log_in(self, email: str = "ann@example.com", password: str = PASSWORD) -> TestResponse:
        """A login."""
        return self.public("POST", "/api/login", {"email": email, "password": password})

    def change_password(self, token: str, current: str = PASSWORD, new: str = "secret99") -> TestResponse:
        """A password change."""
        body = {"currentPassword": current, "newPassword": new}
        return self.public("PUT", "/api/change-password", body, token)

    def verdict(self, token: str) -> str:
        """What the gateway makes of the token: "good", "revoked", or "unknown" while Redis is not ready."""
        claims: Claims = KEYS.verify(token)
        with Redis.from_url(self.redis_url, decode_responses=True) as redis:
            ready, one, all_ = redis.mget(READY_KEY, token_key(claims.token_id), user_key(claims.user_id))
        if ready is None:
            return "unknown"
        return "revoked" if is_revoked(one, all_, claims.token_id, claims.issued_ms) else "good"

    def rows(self, statement: str, *values: Any) -> list[Any]:
        """A query in auth_db."""
        with self.engine.begin() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement, values)]

    def events(self, event_type: str) -> list[dict[str, Any]]:
        """The data of this service's events of a type, oldest first."""
        return [
            row[0] for row in self.rows("SELECT data FROM events WHERE type = %s ORDER BY id", event_type)
        ]

    def listed(self, token: str) -> list[dict[str, Any]]:
        """GET /api/sessions."""
        answer = self.public("GET", "/api/sessions", token=token)
        assert answer.status_code == 200, answer.text
        sessions: list[dict[str, Any]] = answer.get_json()["sessions"]
        return sessions
