"""The transactions of one consumer: a batch of events, one event alone, a replay.

A batch is one transaction without savepoints, which is what makes it fast. When it fails, or when a process
died in it, its events move to `event_failures`, from where each runs alone: in order per key, its attempt
counted and committed before the handler begins. So an event that kills the process is charged and found, its
neighbours are not, and a stop by the operator, which ends between two events, charges nobody.
"""

import logging
import random
import time
import traceback
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from service_kit.errors import Unavailable
from service_kit.events import catalog, cursors, failures
from service_kit.events.consumer import Consumer
from service_kit.events.cursors import CursorMovedError
from service_kit.events.envelope import Event
from service_kit.events.failures import DEAD, PARKED, RETRY, WAITING, Due
from service_kit.events.loop import first_line
from service_kit.events.retry import RetryPolicy
from service_kit.steps import step

_logger = logging.getLogger(__name__)

TRANSACTION_SECONDS = 1.0
_UNAVAILABLE_SECONDS = 5.0
_TRACEBACK_CHARACTERS = 8000


class Processing:
    """A consumer's work on `connection`, which holds the consumer's lock. `position` is its cursor.

    Database errors that end the connection leave every method; the caller starts again with a new connection
    and finds in the tables where things stand.
    """

    def __init__(
        self, connection: Connection, consumer: Consumer, policy: RetryPolicy, stopping: Callable[[], bool]
    ) -> None:
        self._connection = connection
        self._consumer = consumer
        self._name = consumer.name
        self._policy = policy
        self._stopping = stopping
        self.position = 0

    def open(self, first_position: int) -> cursors.Cursor:
        """Find or make the consumer's row; a new one begins at `first_position`, the oldest event there
        is."""
        with self._connection.begin():
            source, resettable = self._consumer.source, self._consumer.reset is not None
            cursors.register(self._connection, self._name, source, first_position - 1)
            cursors.describe(self._connection, self._name, source, resettable, self._consumer.repeatable)
            cursor = cursors.lock(self._connection, self._name)
            for kind, version in failures.parked_kinds(self._connection, self._name):
                if kind in catalog.KEYS and version == catalog.VERSION:
                    failures.release(self._connection, self._name, kind, version)
        self.position = cursor.position
        return cursor

    def handle(self, events: Sequence[Event]) -> None:
        """Handle the events behind the cursor, or as many of them as fit into a second."""
        if any(self._concerns(event) for event in events):
            with self._connection.begin():
                cursors.mark(self._connection, self._name, self.position, events[-1].position)
        try:
            self._handle_together(events)
        except Exception as error:
            if self._is_over(error):
                raise
            _logger.warning("%s runs a batch event by event: %s", self._name, first_line(error))
            self.isolate(events)

    def isolate(self, events: Sequence[Event]) -> None:
        """Move all of `events`, the next behind the cursor, to `event_failures`, where each runs alone."""
        with self._connection.begin():
            cursors.lock(self._connection, self._name, self.position)
            blocked, noted = self._standing(events)
            wanted = [event for event in events if event.position not in noted and self._concerns(event)]
            failures.insert(self._connection, self._name, [self._row(event, blocked) for event in wanted])
            cursors.advance(self._connection, self._name, events[-1].position, events[-1].id)
        self.position = events[-1].position

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

    def report(self, head: int, oldest: Event | None, problem: str | None) -> None:
        """Give a sign of life; `oldest` is the first event that waits in the source."""
        behind_since = oldest.recorded_at if oldest else None
        with self._connection.begin():
            cursors.report(self._connection, self._name, head, behind_since, problem)

    def replay_wanted(self) -> int | None:
        """The position from which an operator wants a replay."""
        with self._connection.begin():
            cursor = cursors.find(self._connection, self._name)
        return cursor.replay_from if cursor else None

    def replay(self, position: int) -> None:
        """Empty the projection when the replay begins with the first event, and go back before `position`."""
        with self._connection.begin():
            cursors.lock(self._connection, self._name)
            if self._consumer.reset and position <= 1:
                self._consumer.reset(self._connection)
            failures.forget_from(self._connection, self._name, position)
            cursors.restart(self._connection, self._name, position)
        self.position = position - 1
        _logger.info("%s replays from position %d", self._name, position)

    def refuse_replay(self, reason: str) -> None:
        """Drop the request for a replay."""
        with self._connection.begin():
            cursors.refuse_replay(self._connection, self._name)
        _logger.error("%s cannot be replayed: %s", self._name, reason)

    def _handle_together(self, events: Sequence[Event]) -> None:
        with self._connection.begin():
            cursors.lock(self._connection, self._name, self.position)
            ready = self._sort_out(events)
            done = self._run(ready) or events[-1]
            cursors.advance(self._connection, self._name, done.position, done.id)
            step("consumer.before_commit")
        self.position = done.position
        step("consumer.committed")

    def _run(self, ready: Sequence[Event]) -> Event | None:
        """Handle `ready`; when time is up or the stop came before the end, the last one that was handled."""
        if self._consumer.handle_many and ready:
            self._consumer.handle_many(self._connection, ready)
            return None
        deadline = time.monotonic() + TRANSACTION_SECONDS
        for event in ready:
            self._consumer.handle(self._connection, event)
            if (time.monotonic() > deadline or self._stopping()) and event is not ready[-1]:
                return event
        return None

    def _sort_out(self, events: Sequence[Event]) -> list[Event]:
        """Those that can be handled now. The others go to `event_failures`; should the transaction end before
        them, they are found there and skipped when the cursor comes to them."""
        blocked, noted = self._standing(events)
        ready, rows = [], []
        for event in events:
            if event.position in noted or not self._concerns(event):
                continue
            if self._readable(event) and self._key(event) not in blocked:
                ready.append(event)
            else:
                rows.append(self._row(event, blocked))
        failures.insert(self._connection, self._name, rows)
        return ready

    def _row(self, event: Event, blocked: set[str]) -> failures.Row:
        """How `event` is kept: its state follows from its key and type. Its key is blocked from now on."""
        key = self._key(event)
        state, error = RETRY, None
        if key in blocked:
            state = WAITING
        elif not self._readable(event):
            state, error = PARKED, f"{event.type} {event.version} is not known to this release"
        blocked.add(key)
        return event, key, state, error

    def _standing(self, events: Sequence[Event]) -> tuple[set[str], set[int]]:
        """Keys that are blocked, and positions that are to be skipped."""
        keys = {self._key(event) for event in events if self._concerns(event)}
        first, last = events[0].position, events[-1].position
        blocked = failures.blocked_keys(self._connection, self._name, keys) if keys else set()
        return blocked, failures.noted_positions(self._connection, self._name, first, last)

    def _concerns(self, event: Event) -> bool:
        """Whether it is ours, or of a type that nobody here knows and that might be ours in a later
        release."""
        return event.type in self._consumer.types or event.type not in catalog.KEYS

    def _readable(self, event: Event) -> bool:
        return event.type in self._consumer.types and event.version == catalog.VERSION

    def _key(self, event: Event) -> str:
        """An unknown type holds nobody up, an unknown version of a type that is ours does: its order
        matters."""
        return event.key if event.type in self._consumer.types else f"event:{event.id}"

    def _run_alone(self, item: Due) -> None:
        if self._policy.exhausted(item.attempts):
            return self._settle(item, DEAD)
        if item.event.type in catalog.KEYS and item.event.type not in self._consumer.types:
            return self._finish(item, run=False)
        if not self._readable(item.event):
            return self._settle(item, PARKED)
        delay = self._policy.delay(item.attempts + 1)
        with self._connection.begin():
            if not failures.count_attempt(self._connection, self._name, item, delay):
                return None
        step("consumer.counted")
        try:
            return self._finish(item, run=True)
        except Exception as error:
            if self._is_over(error):
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

    def _is_over(self, error: Exception) -> bool:
        """Whether this connection, and with it the right to work, is lost. SQLAlchemy would make a new
        one."""
        return self._connection.invalidated or isinstance(error, CursorMovedError)
