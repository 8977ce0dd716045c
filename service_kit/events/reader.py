"""Runs one consumer: reads its source, hands the events to `processing`, waits for the bell or the poll."""

import time

from sqlalchemy import Connection, Engine

from service_kit.errors import Unavailable
from service_kit.events import cursors
from service_kit.events.alone import Alone
from service_kit.events.consumer import Consumer
from service_kit.events.envelope import Event
from service_kit.events.locks import hold
from service_kit.events.loop import Loop
from service_kit.events.processing import Processing
from service_kit.events.retry import RetryPolicy
from service_kit.events.source import EventsMissingError, Page, Source, check_continuous

BATCH = 500

_HEARTBEAT_SECONDS = 1.0


class Reader(Loop):
    """The thread of one consumer. It works only while its connection holds the consumer's lock; a second
    process with the same consumer waits for the first one's connection to end, and takes over."""

    def __init__(
        self, engine: Engine, consumer: Consumer, source: Source, policy: RetryPolicy, poll_seconds: float
    ) -> None:
        super().__init__(consumer.name)
        self._engine = engine
        self._consumer = consumer
        self._source = source
        self._policy = policy
        self._poll_seconds = poll_seconds
        self._suspect_to = 0
        self._next_report = 0.0
        self._problem: str | None = None
        self._head = 0

    def session(self) -> None:
        """Work until the stop or a database error, once the place of the active process is free."""
        with self._engine.connect().execution_options(isolation_level="READ COMMITTED") as connection:
            try:
                while not self.stopping:
                    with connection.begin():
                        active = hold(connection, self._consumer.name)
                    if active:
                        self._work(connection)
                    else:
                        self.wait(_HEARTBEAT_SECONDS)
            finally:
                connection.invalidate()  # the lock is the connection's, which must not go back to a pool

    def _work(self, connection: Connection) -> None:
        processing = Processing(connection, self._consumer, lambda: self.stopping)
        alone = Alone(connection, self._consumer, self._policy, lambda: self.stopping)
        with connection.begin():
            known = cursors.find(connection, self._consumer.name)
        cursor = processing.open(1 if known else self._source.read(self._consumer.name, 0, 1).first)
        self._suspect_to = cursor.batch_to or 0
        while not self.stopping:
            behind = self._turn(processing, alone)
            self.connected()
            if not behind:
                retry = alone.seconds_to_retry()
                self.wait(self._poll_seconds if retry is None else min(retry, self._poll_seconds))

    def _turn(self, processing: Processing, alone: Alone) -> bool:
        """One page and what is due; whether more is waiting in the source."""
        page = self._read(processing.position)
        if page and page.events:
            self._pass_on(processing, page.events)
        alone.retry_due()
        waiting = [event for event in page.events if event.position > processing.position] if page else []
        self._report(processing, waiting)
        return page is not None and bool(page.events) and page.head > processing.position

    def _read(self, position: int) -> Page | None:
        try:
            page = self._source.read(self._consumer.name, position, BATCH)
            check_continuous(page, position)
        except (Unavailable, EventsMissingError) as error:
            self._note(str(error))
            return None
        self._note(None)
        self._head = page.head
        return page

    def _note(self, problem: str | None) -> None:
        if problem != self._problem:
            self._problem = problem
            self._next_report = 0.0

    def _pass_on(self, processing: Processing, events: list[Event]) -> None:
        suspects = [event for event in events if event.position <= self._suspect_to]
        if suspects:
            processing.isolate(suspects)
        else:
            processing.handle(events)

    def _report(self, processing: Processing, waiting: list[Event]) -> None:
        if time.monotonic() < self._next_report:
            return
        processing.report(self._head, waiting[0] if waiting else None, self._problem)
        self._next_report = time.monotonic() + _HEARTBEAT_SECONDS
        position = processing.replay_wanted()
        if position is not None:
            self._replay(processing, position)

    def _replay(self, processing: Processing, position: int) -> None:
        """What is to be replayed must still be there, all of it: a projection without its beginning is
        wrong."""
        try:
            page = self._source.read(self._consumer.name, position - 1, 1)
            check_continuous(page, position - 1)
        except EventsMissingError as error:
            processing.refuse_replay(str(error))
        except Unavailable as error:
            self._note(str(error))
        else:
            processing.replay(position)
