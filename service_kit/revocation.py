"""What tells that a token is revoked, as it stands in Redis: the auth service writes, the gateway reads.

- `revoked:token:{token_id}` = "1": this token, until it expires.
- `revoked:user:{user_id}` = "{cutoff_ms} {kept ids, space separated}": every token of the user issued at or
  before the cut-off (ms), except the kept ones.
- `revocations:ready` = "1": there exactly when every live revocation of auth_db is in Redis. While it is
  missing, nothing in Redis says that a token is valid.

auth_db is the truth of all this; Redis is rebuilt from it whenever the last key is missing.
"""

from dataclasses import dataclass

READY_KEY = "revocations:ready"
REVOKED = "1"
_SINGLE_PREFIX = "revoked:token:"
_USER_PREFIX = "revoked:user:"


@dataclass(frozen=True)
class Cutoff:
    """A user's tokens issued at or before `cutoff_ms` (epoch, ms) are dead, except those whose id is kept."""

    cutoff_ms: int
    kept: tuple[str, ...] = ()

    def covers(self, token_id: str, issued_ms: int) -> bool:
        """Whether it revokes that token."""
        return issued_ms <= self.cutoff_ms and token_id not in self.kept

    def text(self) -> str:
        """The value under `user_key`."""
        return " ".join((str(self.cutoff_ms), *self.kept))

    @classmethod
    def parse(cls, value: str | bytes) -> "Cutoff":
        """The inverse of `text`; ValueError when it is none."""
        words = (value.decode() if isinstance(value, bytes) else value).split(" ")
        return cls(int(words[0]), tuple(words[1:]))


def token_key(token_id: str) -> str:
    """Where the revocation of one token stands."""
    return _SINGLE_PREFIX + token_id


def user_key(user_id: int) -> str:
    """Where the cut-off of one user stands."""
    return f"{_USER_PREFIX}{user_id}"


def is_revoked(
    token_value: str | bytes | None, user_value: str | bytes | None, token_id: str, issued_ms: int
) -> bool:
    """The verdict from the values under `token_key` and `user_key` (None: absent); unreadable ones revoke."""
    if token_value is not None:
        return True
    if user_value is None:
        return False
    try:
        return Cutoff.parse(user_value).covers(token_id, issued_ms)
    except ValueError:
        return True
