"""The background work of the auth service: revocations stay whole in Redis, what has expired is removed."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from redis import RedisError
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from auth_app.metrics import Metrics
from auth_app.mirror import Batches, RevocationMirror
from auth_app.repository import expiry, revocations
from service_kit.db import transaction
from service_kit.errors import Unavailable

log = logging.getLogger(__name__)

_TIDY_LOCK = 0x4D470003
_TIDY_SECONDS = 600.0
_EXPIRED_FOR = timedelta(hours=1)


class Keeper:
    """Does its rounds every `pause` seconds on a thread of its own; any number of processes may have one."""

    def __init__(
        self,
        engine: Engine,
        mirror: RevocationMirror,
        metrics: Metrics,
        audit_kept: timedelta,
        pause: float = 0.5,
    ) -> None:
        self._engine = engine
        self._mirror = mirror
        self._metrics = metrics
        self._audit_kept = audit_kept
        self._pause = pause
        self._next_tidying = time.monotonic()
        self._trouble = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Begin, with a first round at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the round that is going on."""
        self._stop.set()
        self._thread.join()

    def round(self) -> None:
        """One round. Raises what the stores raise."""
        if not self._mirror.is_whole():
            self._metrics.fills.inc()
            if not self._mirror.fill(self._all):
                return
            log.info("the revocations in Redis were rebuilt")
        self._publish_late_ones()
        if time.monotonic() >= self._next_tidying:
            left = self.tidy()
            self._next_tidying = time.monotonic() + (0 if left else _TIDY_SECONDS)

    def tidy(self) -> bool:
        """Remove a batch of what nothing can need any more: expired sessions, tokens, revocations and cut-offs, and
        lines of the audit log that are too old. Answers whether there may be more.
        """
        now = datetime.now(UTC)
        left = False
        for table in expiry.EXPIRING:
            left |= self._tidy_table(table, lambda c, t: expiry.delete_expired(c, t, now - _EXPIRED_FOR))
        left |= self._tidy_table("audit_log", lambda c, _: expiry.delete_audit(c, now - self._audit_kept))
        return left

    def _tidy_table(self, table: str, delete: Callable[[Connection, str], int]) -> bool:
        with transaction(self._engine) as connection:
            if not connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({_TIDY_LOCK})").scalar_one():
                return False  # another process is at it
            count = delete(connection, table)
        if count:
            log.info("removed what has expired", extra={"table": table, "rows": count})
        return count >= expiry.BATCH

    def _publish_late_ones(self) -> None:
        """Bring to Redis what its writer did not: Redis was away for a moment, or the writer ended."""
        while True:
            with transaction(self._engine) as connection:
                rows = revocations.unpublished(connection)
            if not rows:
                return
            self._mirror.publish(rows)
            with transaction(self._engine) as connection:
                revocations.mark_published(connection, rows)

    @contextmanager
    def _all(self) -> Iterator[Batches]:
        with transaction(self._engine) as connection:
            yield revocations.live(connection)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.round()
                self._note("")
            except (RedisError, Unavailable, DBAPIError) as error:
                self._note(f"{type(error).__name__}: {error}")
            except Exception:
                log.exception("the keeper's round failed")
            self._stop.wait(self._pause)

    def _note(self, trouble: str) -> None:
        """Log when trouble begins and when it ends, not twice a second."""
        if trouble and not self._trouble:
            log.warning("revocations cannot be kept in Redis: %s", trouble)
        elif self._trouble and not trouble:
            log.info("revocations are kept in Redis again")
        self._trouble = trouble
