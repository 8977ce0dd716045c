"""Runs events that a batch could not handle, each in a transaction of its own, in order per key.

The attempt is counted and committed before the handler begins: an event that kills the process is charged and
found, its neighbours are not. A stop by the operator comes between two events and charges nobody.
"""

import logging
import random
import time
import traceback
from collections.abc import Callable

from sqlalchemy import Connection

from service_kit.errors import Unavailable
from service_kit.events import catalog, cursors, failures
from service_kit.events.consumer import Consumer
from service_kit.events.cursors import CursorMovedError
from service_kit.events.failures import DEAD, PARKED, RETRY, Due
from service_kit.events.loop import first_line
from service_kit.events.retry import RetryPolicy
from service_kit.steps import step

_logger = logging.getLogger(__name__)

TRANSACTION_SECONDS = 1.0
"""How long work may go on without a look at what else there is to do."""

_UNAVAILABLE_SECONDS = 5.0
_TRACEBACK_CHARACTERS = 8000


def is_over(connection: Connection, error: Exception) -> bool:
    """Whether the connection, and with it the right to work, is lost: SQLAlchemy would quietly make a new
    one."""
    return connection.invalidated or isinstance(error, CursorMovedError)


class Alone:
    """Works on `connection`, which holds the consumer's lock; errors that end the connection leave every
    method."""

    def __init__(
        self, connection: Connection, consumer: Consumer, policy: RetryPolicy, stopping: Callable[[], bool]
    ) -> None:
        self._connection = connection
        self._consumer = consumer
        self._name = consumer.name
        self._policy = policy
        self._stopping = stopping

    def retry_due(self) -> None:
        """Run what is due, one by one, for at most about a second."""
        deadline = time.monotonic() + TRANSACTION_SECONDS
        while not self._stopping() and time.monotonic() < deadline:
            with self._connection.begin():
                items = failures.due(self._connection, self._name, limit=100)
            for item in items:
                if self._stopping() or time.monotonic() > deadline:
                    return
                self._run_alone(item)
            if not items:
                return

    def seconds_to_retry(self) -> float | None:
        """Until the next retry is due, None when there is none."""
        with self._connection.begin():
            return failures.seconds_to_next(self._connection, self._name)

    def _run_alone(self, item: Due) -> None:
        if self._policy.exhausted(item.attempts):
            return self._settle(item, DEAD)
        if item.event.type in catalog.KEYS and item.event.type not in self._consumer.types:
            return self._finish(item, run=False)
        if not self._consumer.can_read(item.event):
            return self._settle(item, PARKED)
        delay = self._policy.delay(item.attempts + 1)
        with self._connection.begin():
            if not failures.count_attempt(self._connection, self._name, item, delay):
                return None
        step("consumer.counted")
        try:
            return self._finish(item, run=True)
        except Exception as error:
            if is_over(self._connection, error):
                raise
            return self._note_failure(item, error, delay)

    def _finish(self, item: Due, *, run: bool) -> None:
        with self._connection.begin():
            cursors.lock(self._connection, self._name)
            if not failures.remove(self._connection, self._name, item):
                return
            if run:
                self._consumer.handle(self._connection, item.event)
            step("consumer.before_commit")
        step("consumer.committed")

    def _note_failure(self, item: Due, error: Exception, delay: float) -> None:
        text = "".join(traceback.format_exception(error))[-_TRACEBACK_CHARACTERS:]
        if isinstance(error, Unavailable):
            pause = random.uniform(0.2, 1.0) * _UNAVAILABLE_SECONDS  # noqa: S311
            return self._settle(item, RETRY, error, text, delay=pause, refund=True)
        attempts = item.attempts + 1
        state = DEAD if self._policy.exhausted(attempts) else RETRY
        what = f"event {item.event.id} at {item.position}, attempt {attempts}, now {state}"
        _logger.warning("%s failed (%s): %s", self._name, what, first_line(error))
        return self._settle(item, state, error, text, delay=delay)

    def _settle(
        self,
        item: Due,
        state: str,
        error: Exception | None = None,
        text: str | None = None,
        *,
        delay: float = 0.0,
        refund: bool = False,
    ) -> None:
        line = first_line(error) if error else None
        outcome = failures.Outcome(state, line, text, delay, refund)
        with self._connection.begin():
            failures.settle(self._connection, self._name, item, outcome)
