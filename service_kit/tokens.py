"""Access tokens: signing, strict verification, token ids. No I/O.

A token is a JWT, HS256, with `userId`, `email`, `iat`, `exp`. Ours add `iss`, a `jti` (UUIDv7: it begins with
the issue time in ms) and the header `kid`. Tokens of the legacy server have none of the three and stay valid;
their id is the SHA-256 of their text, so the text has to be the only one of that token.
"""

import hashlib
import hmac
import json
import re
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import jwt

from service_kit.ids import uuid7, uuid7_milliseconds

ALGORITHM = "HS256"
ISSUER = "auth-service"
MAX_LIFETIME_SECONDS = 31 * 86400
"""Longest `exp - iat` accepted. A cut-off (service_kit.revocation) lives that long and may then go."""
MAX_TOKEN_CHARACTERS = 8192
_MAX_CLOCK_SKEW_SECONDS = 60
"""How far `iat` may lie ahead: hosts' clocks differ, and a token must work at once wherever it is shown."""

_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}\Z")
"""One token, one spelling: a token without `jti` is known by its text, and if a second spelling (padding, or
unused bits of the last character, which PyJWT refuses) were accepted, a logout would stop only the first."""
_INT64 = range(-(2**63), 2**63)


class InvalidTokenError(Exception):
    """Not a token of ours or of the legacy server, or not one that is valid now. The text is for logs."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says. Times in epoch seconds; `issued_ms` (ms) orders it against a cut-off."""

    user_id: int
    email: str
    issued_at: int
    expires_at: int
    token_id: str
    issued_ms: int


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token's `text` and what it says."""

    text: str
    claims: Claims


class TokenKeys:
    """The secrets that tokens may be signed with, newest first: the first signs, all of them verify.

    A token names its secret by `kid`; only one without (the legacy server's) is tried against each.
    """

    def __init__(self, signing_secrets: Iterable[str]) -> None:
        encoded = [secret.encode() for secret in signing_secrets]
        if not encoded or not all(encoded):
            raise ValueError("at least one signing secret is needed, none of them empty")
        self._by_kid = {key_id(secret): secret for secret in encoded}
        self._signing_kid = key_id(encoded[0])
        self._jws = jwt.PyJWS()

    def sign(
        self, user_id: int, email: str, lifetime_seconds: int, *, now_ms: int | None = None
    ) -> IssuedToken:
        """A new token for the user, valid for `lifetime_seconds` from `now_ms` (epoch, default: now)."""
        if not 0 < lifetime_seconds <= MAX_LIFETIME_SECONDS:
            raise ValueError(f"a token lives for 1 to {MAX_LIFETIME_SECONDS} seconds, not {lifetime_seconds}")
        issued_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        issued_at = issued_ms // 1000
        expires_at = issued_at + lifetime_seconds
        claims = Claims(user_id, email, issued_at, expires_at, str(uuid7(issued_ms)), issued_ms)
        payload = {
            "userId": user_id,
            "email": email,
            "iat": claims.issued_at,
            "exp": claims.expires_at,
            "iss": ISSUER,
            "jti": claims.token_id,
        }
        kid = self._signing_kid
        return IssuedToken(jwt.encode(payload, self._by_kid[kid], ALGORITHM, headers={"kid": kid}), claims)

    def verify(self, token: str, *, now: float | None = None) -> Claims:
        """The claims of a valid token; raises InvalidTokenError for everything else, whatever it holds."""
        if len(token) > MAX_TOKEN_CHARACTERS or not _SHAPE.match(token):
            raise InvalidTokenError("not a compact JWS")
        try:
            payload = json.loads(self._verified(token))
        except jwt.PyJWTError as error:
            raise InvalidTokenError(str(error)) from error
        except (ValueError, RecursionError) as error:
            raise InvalidTokenError("the payload is no JSON") from error
        if not isinstance(payload, dict):
            raise InvalidTokenError("the payload is no JSON object")
        return _claims(payload, token, time.time() if now is None else now)

    def _verified(self, token: str) -> bytes:
        """The payload, when the signature is by one of the secrets."""
        header = self._jws.get_unverified_header(token)
        if "crit" in header or "b64" in header:
            raise InvalidTokenError("an extension that no token of ours has")
        for secret in self._secrets_for(header):
            try:
                return cast(bytes, self._jws.decode(token, secret, [ALGORITHM]))
            except jwt.InvalidSignatureError:
                continue
        raise InvalidTokenError("the signature is not ours")

    def _secrets_for(self, header: dict[str, object]) -> Iterable[bytes]:
        if "kid" not in header:
            return self._by_kid.values()
        kid = header["kid"]
        if not isinstance(kid, str) or kid not in self._by_kid:
            raise InvalidTokenError("an unknown kid")
        return (self._by_kid[kid],)


def key_id(secret: bytes) -> str:
    """The public name (`kid`) of a signing secret: 16 hex digits that do not give the secret away."""
    return hmac.digest(secret, b"kid", "sha256").hex()[:16]


def issued_ms_of(token_id: str) -> int | None:
    """The issue time (ms) within a token id of ours, None in that of a legacy token (a hash)."""
    try:
        value = uuid.UUID(token_id)
    except ValueError:
        return None
    return uuid7_milliseconds(value) if value.version == 7 and str(value) == token_id else None


def legacy_token_id(token: str) -> str:
    """The id of a token without `jti`: SHA-256 of its text, in hex."""
    return hashlib.sha256(token.encode("ascii")).hexdigest()


def _claims(payload: dict[str, object], token: str, now: float) -> Claims:
    user_id, issued_at, expires_at = (_whole_number(payload, name) for name in ("userId", "iat", "exp"))
    if not issued_at < expires_at <= issued_at + MAX_LIFETIME_SECONDS:
        raise InvalidTokenError("a lifetime that no token of ours has")
    if now >= expires_at:
        raise InvalidTokenError("expired")
    if issued_at > now + _MAX_CLOCK_SKEW_SECONDS or now < _not_before(payload):
        raise InvalidTokenError("not valid yet")
    email = payload.get("email")
    if not isinstance(email, str) or not _is_text(email):
        raise InvalidTokenError("no email")
    token_id, issued_ms = _identify(payload, token, issued_at)
    return Claims(user_id, email, issued_at, expires_at, token_id, issued_ms)


def _identify(payload: dict[str, object], token: str, issued_at: int) -> tuple[str, int]:
    """Token id and issue time in ms."""
    if "iss" not in payload:
        return legacy_token_id(token), issued_at * 1000
    jti = payload.get("jti")
    issued_ms = issued_ms_of(jti) if isinstance(jti, str) else None
    if payload["iss"] != ISSUER or not isinstance(jti, str) or issued_ms is None:
        raise InvalidTokenError("another issuer, or one of ours without a proper id")
    return jti, issued_ms


def _whole_number(payload: dict[str, object], name: str) -> int:
    value = payload.get(name)
    if type(value) is not int or value not in _INT64:  # True is an int too
        raise InvalidTokenError(f"{name} is no whole number")
    return value


def _not_before(payload: dict[str, object]) -> int:
    return _whole_number(payload, "nbf") if "nbf" in payload else 0


def _is_text(value: str) -> bool:
    """Whether it can be UTF-8: JSON can hold half a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
