"""The revocations in Redis, where the gateway reads them: written after each commit, rebuilt when lost.

`revocations:ready` must never stand while a committed and acknowledged revocation is missing. A writer
commits first and publishes then, so a rebuild has two dangers: a revocation committed after the rebuild has
read auth_db, and a Redis that loses its data in the middle. Against both, the rebuild first leaves a mark in
Redis, then reads auth_db, and declares Redis ready only where its mark still stands: then nothing was lost
since before the reading, and what was committed after it has been published to this very Redis by its writer.

A Redis that came back with an old dump has the key, but not the revocations since. Its run id tells.
"""

import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.exceptions import ConnectionError as BrokenConnection
from redis.retry import Retry

from auth_app.repository.revocations import RevokedToken, Row
from service_kit.revocation import READY_KEY, REVOKED, token_key, user_key

MARGIN_SECONDS = 300
"""Keys outlive what they revoke by this much: clocks differ."""
_MARK_PREFIX = "revocations:filling:"
_MARK_SECONDS = 600
_FILLED_RUN_KEY = "revocations:filled_run"

# KEYS: user key. ARGV: value, cut-off in ms, expiry in epoch seconds. A late writer must not go back in time.
_RAISE_CUTOFF = """
local present = redis.call('GET', KEYS[1])
if present then
  local cutoff = tonumber(string.match(present, '^%d+'))
  if cutoff and cutoff > tonumber(ARGV[2]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'EXAT', ARGV[3])
return 1
"""
# KEYS: mark, ready, filled run. ARGV: run id.
_DECLARE_READY = """
if redis.call('DEL', KEYS[1]) == 0 then return 0 end
redis.call('SET', KEYS[3], ARGV[1])
redis.call('SET', KEYS[2], '1')
return 1
"""

Batches = Iterable[Iterable[Row]]


def connect(url: str, timeout_seconds: float) -> Redis:
    """A client that waits no longer than that for an answer, and does not ask again after such a silence.

    A connection that broke, because Redis was restarted, is made again once.
    """
    return Redis.from_url(
        url,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 1, supported_errors=(BrokenConnection,)),
        decode_responses=True,
    )


class RevocationMirror:
    """Writes to one Redis. Its methods raise redis.RedisError when it is away or slow."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def publish(self, rows: Iterable[Row]) -> None:
        """Put these rows into Redis; doing it again changes nothing."""
        with self._client.pipeline(transaction=False) as pipeline:
            for row in rows:
                _add(pipeline, row)
            if len(pipeline):
                pipeline.execute()

    def is_whole(self) -> bool:
        """Whether Redis is ready and is the very process that was filled."""
        ready, filled_run = cast(list[str | None], self._client.mget(READY_KEY, _FILLED_RUN_KEY))
        return ready is not None and filled_run == self._run()

    def fill(self, read: Callable[[], AbstractContextManager[Batches]]) -> bool:
        """Rebuild from what `read` yields; False when Redis lost its data meanwhile: start again.

        `read` must begin to read auth_db when it is entered, and not before.
        """
        run = self._run()
        if self._client.get(_FILLED_RUN_KEY) != run:
            self._client.delete(READY_KEY)  # it came with an old dump
        mark = _MARK_PREFIX + uuid.uuid4().hex
        self._client.set(mark, run, ex=_MARK_SECONDS)
        with read() as batches:
            for batch in batches:
                self.publish(batch)
        declared = self._client.eval(_DECLARE_READY, 3, mark, READY_KEY, _FILLED_RUN_KEY, run)
        return bool(declared) and self._run() == run

    def _run(self) -> str:
        return str(self._client.info("server")["run_id"])


def _add(pipeline: "Pipeline", row: Row) -> None:
    until = _expiry(row.expires_at)
    if isinstance(row, RevokedToken):
        pipeline.set(token_key(row.token_id), REVOKED, exat=until)
    else:
        arguments = (row.cutoff.text(), row.cutoff.cutoff_ms, until)
        pipeline.eval(_RAISE_CUTOFF, 1, user_key(row.user_id), *arguments)


def _expiry(value: datetime) -> int:
    return int(value.timestamp()) + MARGIN_SECONDS
