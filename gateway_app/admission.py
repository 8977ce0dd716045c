"""May this request pass? One round trip to Redis moves the counters and looks for a revocation."""

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limits.storage import MemoryStorage

from gateway_app.redis_link import RedisAway, RedisLink, RedisRefused
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


log = logging.getLogger(__name__)


@dataclass(slots=True)
class Admission:
    """`moved`: for each counter its value after this request and the milliseconds left of its window. `revoked` is
    None when nobody could tell.
    """

    moved: Sequence[int]
    revoked: bool | None = None


class Gatekeeper:
    """Lives in the event loop. Counts in Redis, or here while Redis is away; revocations are known to Redis only."""

    def __init__(self, redis: RedisLink) -> None:
        self._redis = redis
        self._local = MemoryStorage()

    async def admit(
        self, keys: Sequence[str], seconds: Sequence[int], identity: Identity | None = None
    ) -> Admission:
        """Moves the counters `keys` with windows of `seconds`; with an identity also says whether its token has been
        revoked. That answer is worth asking again when the connection breaks, within the same time.
        """
        try:
            if identity is None:
                return Admission(await self._run(keys, (0, *seconds)))
            answer = await self._run(
                (READY_KEY, token_key(identity.token_id), user_key(identity.user_id), *keys),
                (1, *seconds),
                again=True,
            )
        except RedisAway:
            return Admission(
                [n for key, window in zip(keys, seconds, strict=True) for n in self._here(key, window)]
            )
        revoked = is_revoked(answer[1], answer[2], identity.token_id, identity.issued_ms)
        return Admission(answer[3:], revoked if revoked or answer[0] else None)

    async def _run(self, keys: Sequence[str], arguments: Sequence[int], again: bool = False) -> list[Any]:
        command = (len(keys), *keys, *arguments)
        until = self._redis.deadline()
        try:
            try:
                answer: list[Any] = await self._redis.call(
                    "EVALSHA", DIGEST, *command, until=until, again=again
                )
            except RedisRefused as refused:
                if not str(refused).startswith("NOSCRIPT"):
                    raise
                answer = await self._redis.call("EVAL", SCRIPT, *command, until=until, again=again)
        except RedisRefused as refused:
            log.error("redis refused the script", extra={"error": str(refused)})
            raise RedisAway("redis refused the script") from refused
        return answer

    def _here(self, key: str, seconds: int) -> tuple[int, int]:
        count = self._local.incr(key, seconds)
        return count, max(0, int((self._local.get_expiry(key) - time.time()) * 1000))
