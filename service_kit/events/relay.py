"""Publishes numbered events on Redis: channel = type, message = envelope. Nothing relies on its arrival.

The message wakes consumers and informs whoever listens; what consumers do follows from the store alone.
Published at least once, in order of position: a process that dies between publishing and noting it leads to a
repetition.
"""

import logging
import time

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection, Engine

from service_kit.events import cursors, store
from service_kit.events.cursors import RELAY
from service_kit.events.envelope import Event, envelope, to_json
from service_kit.events.locks import hold
from service_kit.events.loop import Loop, first_line
from service_kit.steps import step

_BATCH = 500
_HEARTBEAT_SECONDS = 1.0
_REDIS_SECONDS = 0.5
_LONGEST_PAUSE = 1.0

_logger = logging.getLogger(__name__)


class Relay(Loop):
    """Publishes whatever is numbered and not published; `wake` it when there is something new."""

    def __init__(self, engine: Engine, redis_url: str, service: str, poll_seconds: float) -> None:
        super().__init__(RELAY)
        self._engine = engine
        self._service = service
        self._poll_seconds = poll_seconds
        self._redis = Redis.from_url(
            redis_url, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS
        )
        self._problem: str | None = None
        self._redis_pause = 0.0

    def session(self) -> None:
        """Work until the stop or a database error, once the place of the one active relay is free."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not self.stopping and not hold(connection, RELAY):
                self.wait(_HEARTBEAT_SECONDS)
            try:
                self._work(connection)
            finally:
                connection.invalidate()  # the lock belongs to the connection

    def _work(self, connection: Connection) -> None:
        cursors.register(connection, RELAY, self._service, store.bounds(connection)[0] - 1)
        cursors.describe(connection, RELAY, self._service, resettable=False, repeatable=False)
        cursor = cursors.lock(connection, RELAY)
        position = cursor.position
        next_report = 0.0
        while not self.stopping:
            events = store.read_after(connection, position, _BATCH)
            more = len(events) == _BATCH
            if events and self._publish(events):
                step("relay.published")
                position = events[-1].position
                cursors.advance_relaxed(connection, RELAY, position, events[-1].id)
                events = []
            if time.monotonic() >= next_report:
                behind_since = events[0].recorded_at if events else None
                cursors.report(connection, RELAY, store.bounds(connection)[1], behind_since, self._problem)
                next_report = time.monotonic() + _HEARTBEAT_SECONDS
            self.connected()
            if self._problem:
                self.wait(self._redis_pause)
            elif not more:
                self.wait(self._poll_seconds)

    def _publish(self, events: list[Event]) -> bool:
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for event in events:
                    pipeline.publish(event.type, to_json(envelope(event)))
                pipeline.execute()
        except (RedisError, OSError) as error:
            if not self._problem:
                _logger.warning("Redis is away, consumers fall back to polling: %s", first_line(error))
            self._problem = f"Redis: {first_line(error)}"
            self._redis_pause = min(_LONGEST_PAUSE, max(0.05, 2 * self._redis_pause))
            return False
        if self._problem:
            _logger.info("Redis is back")
        self._problem, self._redis_pause = None, 0.0
        return True
