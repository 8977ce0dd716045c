"""When bulk work has to wait: the operator paused it, live requests became slow, or the appliers fell behind.

The gateway publishes the 95th percentile of its requests in Redis, under LATENCY_KEY with a short life: an old number
says nothing. Whatever cannot be measured does not throttle.
"""

import sqlite3
import time

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine

from migration.capture import last_seq
from migration.catch_up import read_cursors
from migration.history import read_control
from migration.session import Session

LATENCY_KEY = "latency:gateway:p95_ms"


class Throttle:
    """Asks before every portion of bulk work. `redis` may be away."""

    def __init__(self, session: Session, redis: "Redis | None", fresh_seconds: float = 0.0) -> None:
        self._session = session
        self._redis = redis
        self._fresh_seconds = fresh_seconds
        self._asked_at = float("-inf")
        self._answer: str | None = None

    def reason(self) -> str | None:
        """Why bulk work has to wait now, for people; None when it may go on. Kept where `status` finds it.

        An answer counts for `fresh_seconds`: asking costs about as much as reading a few hundred rows.
        """
        if time.monotonic() - self._asked_at >= self._fresh_seconds:
            self._answer = self._ask()
            self._asked_at = time.monotonic()
        return self._answer

    def _ask(self) -> str | None:
        control = read_control(self._session.migration)
        if control.paused_at is not None:
            return f"paused by {control.paused_by}"
        reason = self._load()
        if reason != control.throttle_reason:
            note(self._session.migration, reason)
        return reason

    def _load(self) -> str | None:
        limit = self._session.settings.throttle_latency_ms
        latency = self._latency()
        if latency is not None and latency > limit:
            return f"live requests take {latency:.0f} ms (95th percentile; limit {limit} ms)"
        lag, most = self.lag(), self._session.settings.throttle_lag_entries
        if lag is not None and lag > most:
            return f"{lag} changes wait in the log (limit {most})"
        return None

    def _latency(self) -> float | None:
        if self._redis is None:
            return None
        try:
            value = self._redis.get(LATENCY_KEY)
            return None if value is None else float(value)
        except (RedisError, ValueError):
            return None

    def lag(self) -> int | None:
        """Log entries that a database has not applied; None on a machine without the file."""
        try:
            with self._session.file.snapshot() as connection:
                end = last_seq(connection)
        except sqlite3.Error:
            return None
        return max(0, end - min(read_cursors(self._session.targets).values()))


def note(engine: Engine, reason: str | None) -> None:
    """Keep the reason and since when; None clears it."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE control SET throttle_reason = %(reason)s, throttled_at = CASE WHEN %(reason)s::text IS NOT NULL"
            " THEN COALESCE(throttled_at, now()) END WHERE id = 1",
            {"reason": reason},
        )


def redis_for(url: str) -> Redis:
    """A client that never makes bulk work wait for long. Close it."""
    return Redis.from_url(url, socket_timeout=0.2, socket_connect_timeout=0.2)
