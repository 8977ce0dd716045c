"""Who is asking: the identity that the gateway verified and hands to the services in headers."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from flask import Request

from service_kit.errors import Unauthenticated

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_INT64 = 2**63


class TokenRequired(Unauthenticated):
    """The gateway let a request through without an identity, or with a broken one."""

    bare = True


@dataclass(frozen=True)
class Identity:
    """The claims of the presented token: times in seconds since the epoch; `token_id` is its jti or its
    SHA-256.
    """

    user_id: int
    email: str
    token_id: str
    issued_at: int
    expires_at: int


def identity(request: Request) -> Identity:
    """The identity in the request's headers; TokenRequired when there is none."""
    headers = request.headers
    token_id = headers.get("X-Token-Id", "")
    if not token_id:
        raise TokenRequired
    return Identity(
        user_id=_integer(headers.get("X-User-Id")),
        email=unquote(headers.get("X-User-Email", "")),
        token_id=token_id,
        issued_at=_integer(headers.get("X-Token-Issued")),
        expires_at=_integer(headers.get("X-Token-Expires")),
    )


def client_address(request: Request) -> str:
    """The client's address as the gateway saw it, empty when unknown."""
    return request.headers.get("X-Forwarded-For", "").strip()[:64]


def user_agent(request: Request) -> str:
    """The client's User-Agent, cut to 512 printable characters."""
    text = request.headers.get("User-Agent", "")
    return "".join(character for character in text if character.isprintable())[:512]


def _integer(text: str | None) -> int:
    if text is None or not _INTEGER.fullmatch(text) or not -_INT64 <= int(text) < _INT64:
        raise TokenRequired
    return int(text)
