"""Drops events that are old enough and that every consumer has behind it."""

import logging
from datetime import timedelta

from sqlalchemy import Connection, Engine

from service_kit.events.locks import RETENTION
from service_kit.events.loop import Loop
from service_kit.events.schema import RETENTION_SWITCH

BATCH = 5000

_PAUSE_SECONDS = 60.0
_logger = logging.getLogger(__name__)

_LOCK = "SELECT pg_try_advisory_xact_lock(%s, %s)"
# A consumer of this service is in `event_consumers`, one of another service has named itself at the feed.
_SLOWEST = """
SELECT LEAST((SELECT min(LEAST(position, replay_from - 1)) FROM event_consumers WHERE source = %s),
             (SELECT min(position) FROM event_readers))
"""
_ALLOW = f"SELECT set_config('{RETENTION_SWITCH}', 'on', true)"
# The oldest by position, never by time: an index range, even when nothing is old enough.
_DROP = """
DELETE FROM events WHERE position IN (
    SELECT position FROM (
        SELECT position, recorded_at FROM events WHERE position <= %s ORDER BY position LIMIT %s
    ) AS oldest WHERE recorded_at < clock_timestamp() - %s)
"""


def drop_batch(connection: Connection, service: str, keep: timedelta, limit: int = BATCH) -> int:
    """Drop at most `limit` events of `service` that are older than `keep`, in the caller's transaction.

    Nothing is dropped while no consumer has ever read, nor above the slowest one. Returns how many were.
    """
    if not connection.exec_driver_sql(_LOCK, RETENTION).scalar_one():
        return 0
    slowest = connection.exec_driver_sql(_SLOWEST, (service,)).scalar_one()
    if slowest is None:
        return 0
    connection.exec_driver_sql(_ALLOW)
    return connection.exec_driver_sql(_DROP, (slowest, limit, keep)).rowcount


class Retention(Loop):
    """Drops what may go, once a minute, in transactions of at most 5,000 events."""

    def __init__(self, engine: Engine, service: str, keep: timedelta) -> None:
        super().__init__("retention")
        self._engine = engine
        self._service = service
        self._keep = keep

    def session(self) -> None:
        """Work until the stop or a database error."""
        while not self.stopping:
            with self._engine.begin() as connection:
                dropped = drop_batch(connection, self._service, self._keep)
            self.connected()
            if dropped:
                _logger.info("dropped %d events older than %s", dropped, self._keep)
            self.wait(0.1 if dropped == BATCH else _PAUSE_SECONDS)
