"""May this request pass? One round trip to Redis moves the counters and looks for a revocation."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limits.storage import MemoryStorage
from redis.exceptions import NoScriptError, RedisError

from gateway_app.redis_link import RedisAway, RedisLink
from gateway_app.tokens import Identity
from service_kit.revocation import READY_KEY, is_revoked, token_key, user_key

SCRIPT = """
local first = 1
local answer = {}
if ARGV[1] == '1' then
  answer[1] = redis.call('EXISTS', KEYS[1])
  answer[2] = redis.call('GET', KEYS[2])
  answer[3] = redis.call('GET', KEYS[3])
  first = 4
end
for i = first, #KEYS do
  local count = redis.call('INCR', KEYS[i])
  local left = -1
  if count > 1 then left = redis.call('PTTL', KEYS[i]) end
  if left < 0 then
    left = tonumber(ARGV[i - first + 2]) * 1000
    redis.call('PEXPIRE', KEYS[i], left)
  end
  answer[#answer + 1] = count
  answer[#answer + 1] = left
end
return answer
"""
"""KEYS: with ARGV[1] = 1 the ready mark, the token's revocation and the user's cutoff first; then the counters.
ARGV[2..]: seconds of each counter's window. Answer: [ready, revoked or nil,
cutoff or nil,] count, milliseconds left, ...
"""
DIGEST = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class Admission:
    """`moved`: for each counter its value after this request and the milliseconds left of its window. `revoked` is
    None when nobody could tell.
    """

    moved: Sequence[int]
    revoked: bool | None = None


class Gatekeeper:
    """Counts in Redis, or in this process while Redis is away; knows revocations from Redis only."""

    def __init__(self, redis: RedisLink) -> None:
        self._redis = redis
        self._local = MemoryStorage()

    def admit(
        self, keys: Sequence[str], seconds: Sequence[int], identity: Identity | None = None
    ) -> Admission:
        """Moves the counters `keys` with windows of `seconds`; with an identity also says whether its token has been
        revoked, and waits a little longer for that answer.
        """
        try:
            if identity is None:
                return Admission(self._run(keys, (0, *seconds)))
            answer = self._run(
                (READY_KEY, token_key(identity.token_id), user_key(identity.user_id), *keys),
                (1, *seconds),
                patient=True,
            )
        except RedisAway:
            return Admission(
                [n for key, window in zip(keys, seconds, strict=True) for n in self._here(key, window)]
            )
        revoked = is_revoked(answer[1], answer[2], identity.token_id, identity.issued_ms)
        return Admission(answer[3:], revoked if revoked or answer[0] else None)

    def _run(self, keys: Sequence[str], arguments: Sequence[int], patient: bool = False) -> list[Any]:
        command = (len(keys), *keys, *arguments)
        try:
            try:
                answer: list[Any] = self._redis.call("EVALSHA", DIGEST, *command, patient=patient)
            except NoScriptError:
                answer = self._redis.call("EVAL", SCRIPT, *command, patient=patient)
        except RedisError as error:
            raise RedisAway("redis refused the script") from error
        return answer

    def _here(self, key: str, seconds: int) -> tuple[int, int]:
        count = self._local.incr(key, seconds)
        return count, max(0, int((self._local.get_expiry(key) - time.time()) * 1000))
