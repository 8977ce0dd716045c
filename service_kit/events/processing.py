"""The transactions of one consumer behind its cursor: a batch of events, a replay.

A batch is one transaction without savepoints, which is what makes it fast. When it fails, or when a process
died in it, its events move to `event_failures`, from where each runs alone (`alone`).
"""

import logging
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from service_kit.events import catalog, cursors, failures
from service_kit.events.alone import TRANSACTION_SECONDS, is_over
from service_kit.events.consumer import Consumer
from service_kit.events.envelope import Event
from service_kit.events.failures import PARKED, RETRY, WAITING
from service_kit.events.loop import first_line
from service_kit.steps import step

_logger = logging.getLogger(__name__)


class Processing:
    """A consumer's work on `connection`, which holds the consumer's lock. `position` is its cursor.

    Database errors that end the connection leave every method; the caller starts again with a new connection
    and finds in the tables where things stand.
    """

    def __init__(self, connection: Connection, consumer: Consumer, stopping: Callable[[], bool]) -> None:
        self._connection = connection
        self._consumer = consumer
        self._name = consumer.name
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
        if any(self._consumer.concerns(event) for event in events):
            with self._connection.begin():
                cursors.mark(self._connection, self._name, self.position, events[-1].position)
        try:
            self._handle_together(events)
        except Exception as error:
            if is_over(self._connection, error):
                raise
            _logger.warning("%s runs a batch event by event: %s", self._name, first_line(error))
            self.isolate(events)

    def isolate(self, events: Sequence[Event]) -> None:
        """Move all of `events`, the next behind the cursor, to `event_failures`, where each runs alone."""
        with self._connection.begin():
            cursors.lock(self._connection, self._name, self.position)
            blocked, noted = self._standing(events)
            wanted = [each for each in events if each.position not in noted and self._consumer.concerns(each)]
            failures.insert(self._connection, self._name, [self._row(event, blocked) for event in wanted])
            cursors.advance(self._connection, self._name, events[-1].position, events[-1].id)
        self.position = events[-1].position

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
            ready, kept = self._sort_out(events)
            done = self._run(ready) or events[-1]
            failures.insert(
                self._connection, self._name, [row for row in kept if row[0].position <= done.position]
            )
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

    def _sort_out(self, events: Sequence[Event]) -> tuple[list[Event], list[failures.Row]]:
        """Those that can be handled now, and those that have to go to `event_failures`."""
        blocked, noted = self._standing(events)
        ready, kept = [], []
        for event in events:
            if event.position in noted or not self._consumer.concerns(event):
                continue
            if self._consumer.can_read(event) and self._consumer.key_of(event) not in blocked:
                ready.append(event)
            else:
                kept.append(self._row(event, blocked))
        return ready, kept

    def _row(self, event: Event, blocked: set[str]) -> failures.Row:
        """How `event` is kept: its state follows from its key and type. Its key is blocked from now on."""
        key = self._consumer.key_of(event)
        state, error = RETRY, None
        if key in blocked:
            state = WAITING
        elif not self._consumer.can_read(event):
            state, error = PARKED, f"{event.type} {event.version} is not known to this release"
        blocked.add(key)
        return event, key, state, error

    def _standing(self, events: Sequence[Event]) -> tuple[set[str], set[int]]:
        """Keys that are blocked, and positions that are to be skipped."""
        keys = {self._consumer.key_of(event) for event in events if self._consumer.concerns(event)}
        first, last = events[0].position, events[-1].position
        blocked = failures.blocked_keys(self._connection, self._name, keys) if keys else set()
        return blocked, failures.noted_positions(self._connection, self._name, first, last)
