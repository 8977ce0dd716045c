"""Access tokens as the gateway meets them: which word of a request is the token, and who it speaks for."""

import threading
import time
from dataclasses import dataclass
from urllib.parse import quote

from service_kit.tokens import Claims, TokenKeys

MAX_VERIFIED_TOKENS = 10_000


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a verified token speaks for. `expires_at` is in epoch seconds, `issued_ms` orders it against a cut-off;
    `headers` are the lines that tell a service.
    """

    user_id: int
    token_id: str
    issued_ms: int
    expires_at: int
    headers: str


def presented_token(authorization: str | None) -> str | None:
    """The second word of the Authorization header, whatever the first one is: that is how the monolith read it."""
    words = (authorization or "").split(" ")
    return words[1] if len(words) > 1 and words[1] else None


class TokenVerifier:
    """Remembers the tokens that it has verified: the signature is checked once, the clock at every request, and
    revocation is not its business.
    """

    def __init__(self, keys: TokenKeys) -> None:
        self._keys = keys
        self._verified: dict[str, Identity] = {}
        self._lock = threading.Lock()

    def verify(self, token: str) -> Identity:
        """The identity behind a token. InvalidTokenError when it is not valid."""
        identity = self._verified.get(token)
        if identity is not None and time.time() < identity.expires_at:
            return identity
        identity = _identity(self._keys.verify(token))
        with self._lock:
            while len(self._verified) >= MAX_VERIFIED_TOKENS:
                self._verified.pop(next(iter(self._verified)))
            self._verified[token] = identity
        return identity


def _identity(claims: Claims) -> Identity:
    headers = (
        f"X-User-Id: {claims.user_id}\r\nX-User-Email: {quote(claims.email, safe='@+')}\r\n"
        f"X-Token-Id: {claims.token_id}\r\nX-Token-Issued: {claims.issued_at}\r\n"
        f"X-Token-Expires: {claims.expires_at}\r\n"
    )
    return Identity(claims.user_id, claims.token_id, claims.issued_ms, claims.expires_at, headers)
