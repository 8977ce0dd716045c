"""What the gateway answers itself: the envelope of its errors."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

Headers = list[tuple[str, str]]
JSON_TYPE = ("Content-Type", "application/json; charset=utf-8")


@dataclass(slots=True)
class Answer:
    """An answer on its way out. With `has_cors` somebody has already seen to the cross-origin fields."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    has_cors: bool = False

    @property
    def status_line(self) -> str:
        """Status and its phrase, as WSGI wants them."""
        return _STATUS_LINES.get(self.status) or f"{self.status} Unknown"


_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Problem(Exception):
    """Ends a request with an error. `headers` go out with it."""

    def __init__(self, status: int, code: str, message: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = list(headers)


def envelope(
    status: int, code: str, message: str, request_id: str, headers: Iterable[tuple[str, str]] = ()
) -> Answer:
    """The JSON of every error that no recording of the monolith covers."""
    body = {"success": False, "message": message, "code": code, "request_id": request_id}
    return Answer(status, [JSON_TYPE, *headers], json.dumps(body).encode())


def legacy_envelope(status: int, message: str) -> Answer:
    """The JSON of an error that the monolith answered with nothing but its message."""
    return Answer(status, [JSON_TYPE], json.dumps({"success": False, "message": message}).encode())
