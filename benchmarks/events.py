"""Events: what an append costs, how fast a consumer is, how long from a commit to its effect.

`python -m benchmarks.events [--json]` starts a PostgreSQL (with fsync) and a Redis of its own in a temporary
folder,
and a real events process. Beside each figure stands what this machine can do at most, measured in the same
minute: the same rows through the bare driver, the same commits without us. Exit code 1 when a target is
missed.
"""

import argparse
import json
import multiprocessing
import os
import select
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from benchmarks.event_stage import USERS, Stage, stage
from service_kit.events import catalog, runner, store
from service_kit.events.consumer import Consumer
from service_kit.events.envelope import Event
from service_kit.events.loop import Loop
from service_kit.events.sequencer import Sequencer
from service_kit.events.store import NewEvent
from service_kit.settings import load

SLICE = 10
SLICES = 250
CONSUMED = 20_000
LATENCY_EVENTS = 300
LATENCY_PAUSE = 0.02
_BEHIND = "SELECT count(*) FROM event_consumers, event_head WHERE position < last_position"


@dataclass(frozen=True)
class Figure:
    """One line of the result. `limit`: what the machine gives without us; `target`: what was promised."""

    what: str
    value: float
    unit: str
    target: float
    at_least: bool
    limit: float
    limit_of: str

    @property
    def met(self) -> bool:
        """Whether the promise holds."""
        return self.value >= self.target if self.at_least else self.value <= self.target


def _handle(connection: Connection, event: Event) -> None:
    connection.exec_driver_sql(
        "INSERT INTO effects (position, user_id) VALUES (%s, %s)", (event.position, event.user_id)
    )
    if "tell" in event.data:  # delivered with the commit
        connection.exec_driver_sql("SELECT pg_notify('handled', %s)", (str(event.data["tell"]),))


def _serve(url: str, redis_url: str) -> None:
    """An events process: all of its threads and one consumer."""
    keys = {f"{name}_API_KEYS": "sample-key-of-a-benchmark" for name in ("GATEWAY", "USER", "AUTH")}
    environ = {"USER_DATABASE_URL": url, "REDIS_URL": redis_url, "LEGACY_SQLITE_PATH": "", **keys}
    settings = load("user", environ)
    consumer = Consumer("bench", "user", frozenset({catalog.AUTH_LOGOUT}), _handle)
    sys.exit(runner.work(settings, "user", settings.user_database_url, [consumer]))


@contextmanager
def events_process(bench: Stage) -> Iterator[None]:
    """The process runs within the block, and is at work when the block begins."""
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(bench.url, bench.redis.url))
    process.start()
    try:
        alive = (
            "SELECT count(*) = 2 FROM event_consumers WHERE heartbeat_at > clock_timestamp() - interval '1 s'"
        )
        _wait(lambda: bool(_scalar(bench.engine, alive)))
        yield
    finally:
        if process.pid:
            os.kill(process.pid, signal.SIGTERM)
        process.join(30)


def append_cost(bench: Stage) -> Figure:
    """Transactions/s of a profile update with its event, against the same without.

    Short slices of both alternate, so that whatever else the machine does meets both.
    """
    seconds = {True: 0.0, False: 0.0}
    for place in range(SLICES):
        for with_event in (True, False):
            started = time.perf_counter()
            for user in range(place * SLICE, place * SLICE + SLICE):
                _update_profile(bench.engine, user % USERS + 1, f"name {place}", with_event)
            seconds[with_event] += time.perf_counter() - started
    ratio, plain = seconds[False] / seconds[True], SLICE * SLICES / seconds[False]
    return Figure(
        "transaction with an append, of its rate without", 100 * ratio, "%", 70, True, plain, "tx/s without"
    )


def _update_profile(engine: Engine, user: int, name: str, with_event: bool) -> None:
    with engine.begin() as connection:
        row = connection.exec_driver_sql("SELECT name FROM users WHERE id = %s FOR UPDATE", (user,)).one()
        connection.exec_driver_sql(
            "UPDATE users SET name = %s, updated_at = now() WHERE id = %s", (name, user)
        )
        if with_event:
            data = {"user_id": user, "changes": {"name": {"old": row[0], "new": name}}}
            store.append(connection, catalog.USER_PROFILE_UPDATED, user, data)


def consume(bench: Stage) -> list[Figure]:
    """Events/s: numbering, and a consumer whose handler writes one row an event."""
    _append(bench.engine, CONSUMED)
    numbering = _numbering_rate(bench.engine)
    with events_process(bench):
        _wait(lambda: _scalar(bench.engine, "SELECT count(*) FROM effects") == CONSUMED, 120)
    seconds = float(_scalar(bench.engine, "SELECT extract(epoch FROM max(at) - min(at)) FROM effects"))
    bare = _bare_rate(bench)
    return [
        Figure("consumed, handler writes one row", CONSUMED / seconds, "events/s", 3000, True, bare,
               "rows/s, bare driver, 500 a commit"),
        Figure("numbered", numbering, "events/s", 3000, True, bare, "rows/s, bare driver, 500 a commit"),
    ]  # fmt: skip


def latency(bench: Stage, redis_up: bool) -> Figure:
    """Milliseconds from the answer to a commit until its effect is committed, 99th percentile."""
    with events_process(bench):
        _wait(lambda: _scalar(bench.engine, _BEHIND) == 0)  # what was appended before is published, too
        if not redis_up:
            bench.redis.stop()
        try:
            times = _latencies(bench)
        finally:
            bench.redis.start()
    p99 = 1000 * statistics.quantiles(times, n=100)[98]
    state, target = ("up", 100.0) if redis_up else ("down", 1500.0)
    limit = 1000 * _commit_seconds(bench)
    return Figure(
        f"commit to effect, p99, Redis {state}", p99, "ms", target, False, limit, "ms for one bare commit"
    )


def _latencies(bench: Stage) -> list[float]:
    ear = bench.raw()
    ear.autocommit = True
    ear.cursor().execute("LISTEN handled")
    committed: dict[str, float] = {}
    handled: dict[str, float] = {}

    def listen(seconds: float) -> int:
        deadline = time.time() + seconds
        while (left := deadline - time.time()) > 0 and select.select([ear], [], [], left)[0]:
            ear.poll()
            while ear.notifies:
                handled[ear.notifies.pop(0).payload] = time.time()
        return len(handled)

    for place in range(LATENCY_EVENTS):
        with bench.engine.begin() as connection:
            data = {"user_id": place, "scope": "this", "tell": place}
            store.append(connection, catalog.AUTH_LOGOUT, place, data)
        committed[str(place)] = time.time()
        listen(LATENCY_PAUSE)
    _wait(lambda: listen(0.05) == LATENCY_EVENTS)
    ear.close()
    return [handled[place] - committed[place] for place in committed]


def _append(engine: Engine, count: int) -> None:
    for start in range(0, count, 1000):
        users = [place % 1000 for place in range(start, start + 1000)]
        events = [NewEvent(catalog.AUTH_LOGOUT, user, {"user_id": user, "scope": "this"}) for user in users]
        with engine.begin() as connection:
            store.append_many(connection, events)


def _numbering_rate(engine: Engine) -> float:
    sequencer: Loop = Sequencer(engine, on_numbered=lambda: None)
    head = "SELECT last_position FROM event_head"
    before = _scalar(engine, head)
    started = time.perf_counter()
    sequencer.start()
    _wait(lambda: _scalar(engine, "SELECT count(*) FROM events WHERE position IS NULL") == 0, 60)
    seconds = time.perf_counter() - started
    sequencer.stop()
    sequencer.join()
    return float(_scalar(engine, head) - before) / seconds


def _bare_rate(bench: Stage) -> float:
    connection = bench.raw()
    cursor = connection.cursor()
    started = time.perf_counter()
    for place in range(CONSUMED // 4):
        cursor.execute("INSERT INTO effects (position, user_id) VALUES (%s, %s)", (place, place))
        if place % 500 == 499:
            connection.commit()
    connection.commit()
    seconds = time.perf_counter() - started
    connection.close()
    return (CONSUMED // 4) / seconds


def _commit_seconds(bench: Stage) -> float:
    connection = bench.raw()
    cursor, times = connection.cursor(), []
    for place in range(200):
        cursor.execute("UPDATE users SET name = 'x' WHERE id = %s", (place + 1,))
        started = time.perf_counter()
        connection.commit()
        times.append(time.perf_counter() - started)
    connection.close()
    return statistics.median(times)


def _scalar(engine: Engine, statement: str) -> Any:
    with engine.connect() as connection:
        return connection.exec_driver_sql(statement).scalar()


def _wait(predicate: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not reached within {seconds} s")
        time.sleep(0.02)


def measure() -> list[Figure]:
    """All figures."""
    with stage() as bench:
        return [append_cost(bench), *consume(bench), latency(bench, True), latency(bench, False)]


def main() -> int:
    """Print the figures; 1 when one misses its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    figures = measure()
    if as_json:
        print(json.dumps({"figures": [asdict(figure) | {"met": figure.met} for figure in figures]}))
    else:
        for figure in figures:
            sign = ">=" if figure.at_least else "<="
            print(
                f"{figure.what:<48} {figure.value:>9,.0f} {figure.unit:<9} target {sign} {figure.target:>6,.0f}"
                f"  {'met' if figure.met else 'MISSED':<7} machine: {figure.limit:,.1f} {figure.limit_of}"
            )
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
