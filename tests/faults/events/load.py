"""Writers that note what was acknowledged, the process that serves their events, and what must hold at the
end."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from service_kit.events.status import ERROR, Limits, breaches, collect
from tests.support.environment import service_environment
from tests.support.events import append, rows, scalar
from tests.support.service import ServiceProcess
from tests.support.waiting import wait_until

USERS = 12


class Worker(ServiceProcess):
    """A real events process on `engine` with the tests' consumer (`tests.support.events_worker`)."""

    def __init__(
        self, engine: Engine, redis_url: str, folder: Path, name: str, environ: Mapping[str, object]
    ) -> None:
        url = engine.url.render_as_string(hide_password=False)
        values = {"user_database_url": url, "redis_url": redis_url, "event_max_attempts": 3, **environ}
        super().__init__("tests.support.events_worker", service_environment(values), 0, folder, name=name)
        self._engine = engine

    def start(self, path: str = "", timeout: float = 30.0) -> "Worker":
        """Starts it without waiting."""
        super().start(path, timeout)
        return self

    def wait_active(self) -> "Worker":
        """Wait until the consumer of this process, or of a child of it, gives signs of life."""
        fresh = "SELECT max(heartbeat_at) > clock_timestamp() - interval '1.5 s' FROM event_consumers"
        wait_until(lambda: scalar(self._engine, fresh), 30, "a sign of life")
        return self

    def wait_ended(self) -> None:
        """Wait until the process has gone."""
        wait_until(lambda: self.pid is None, 30, "the end of the process")


class Writers:
    """Threads that append events in transactions of one to three, half a hundred a second each at most.

    Each event's `number` is unique. `acknowledged` holds those whose commit was answered, `refused` those
    that were rolled back; of any other nobody knows.
    """

    def __init__(self, engine: Engine, count: int = 3, pause: float = 0.02, seed: int = 1) -> None:
        self._engine = engine
        self._pause = pause
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._number = 0
        self.acknowledged: set[int] = set()
        self.refused: set[int] = set()
        self._threads = [threading.Thread(target=self._write, args=(seed + place,)) for place in range(count)]

    @contextmanager
    def writing(self) -> Iterator["Writers"]:
        """They write within the block."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(30)

    def _write(self, seed: int) -> None:
        choice = random.Random(seed)
        while not self._stop.is_set():
            with self._lock:
                numbers = range(self._number + 1, self._number + 1 + choice.randint(1, 3))
                self._number = numbers[-1]
            rolled_back = choice.random() < 0.1
            try:
                self._transaction(
                    [(choice.randrange(USERS), number) for number in numbers], rolled_back, choice
                )
            except SQLAlchemyError:
                time.sleep(0.1)
            else:
                (self.refused if rolled_back else self.acknowledged).update(numbers)
            time.sleep(choice.random() * self._pause)

    def _transaction(self, events: list[tuple[int, int]], roll_back: bool, choice: random.Random) -> None:
        with self._engine.connect() as connection:
            for user, number in sorted(events):
                # what a change of the user's row does: the next writer of this user waits for this commit
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (user,))
                append(connection, user, number)
            if choice.random() < 0.05:
                time.sleep(0.2)
            if roll_back:
                connection.rollback()
            else:
                connection.commit()


def wait_handled(engine: Engine, timeout: float = 60.0) -> None:
    """Wait until everything is numbered and handled."""
    done = (
        "SELECT NOT EXISTS (SELECT FROM events WHERE position IS NULL)"
        " AND NOT EXISTS (SELECT FROM event_failures WHERE state IN ('retry'))"
        " AND (SELECT count(*) = 2 AND bool_and(position = (SELECT last_position FROM event_head))"
        "      FROM event_consumers)"
    )
    wait_until(lambda: _quietly(lambda: bool(scalar(engine, done))), timeout, "the end of the backlog")


def check(engine: Engine, writers: Writers) -> int:
    """Every promise, on what the writers know and the database holds. Returns how many events there were."""
    events = rows(engine, "SELECT position, user_id, (data->>'number')::int FROM events ORDER BY position")
    effects = rows(engine, "SELECT position, user_id, number::int FROM seen ORDER BY n")
    assert [position for position, _, _ in events] == list(range(1, len(events) + 1)), "positions have gaps"
    stored = {number for _, _, number in events}
    assert writers.acknowledged <= stored, "an acknowledged change has no event"
    assert not writers.refused & stored, "a change that was rolled back has an event"
    twice = [position for position, count in Counter(row[0] for row in effects).items() if count > 1]
    assert not twice, f"handled twice: {twice}"
    assert {row[0] for row in effects} == {row[0] for row in events}, "an event was not handled"
    for user in {row[1] for row in effects}:
        order = [position for position, other, _ in effects if other == user]
        assert order == sorted(order), f"user {user} out of order"
    assert rows(engine, "SELECT * FROM event_failures") == []
    wait_until(lambda: not wrong(engine), 10, "a status without a breach")
    assert state_of(engine)["head"] == len(events)
    return len(events)


def wrong(engine: Engine) -> list[str]:
    """The errors that `flask events status` shows."""
    return [each.code for each in breaches(state_of(engine), Limits()) if each.severity == ERROR]


def state_of(engine: Engine) -> dict[str, Any]:
    """What `flask events status` shows of this database."""
    with engine.connect() as connection:
        return collect(connection, "user", {"user": connection})


def latencies(engine: Engine, first_number: int) -> list[float]:
    """Seconds from append to effect of the events from `first_number` on."""
    found = rows(
        engine,
        "SELECT extract(epoch FROM seen.at - events.recorded_at)::float FROM seen JOIN events USING (position)"
        f" WHERE number >= {first_number} ORDER BY 1",
    )
    return [row[0] for row in found]


def _quietly(predicate: Callable[[], bool]) -> bool:
    try:
        return predicate()
    except SQLAlchemyError:
        return False
