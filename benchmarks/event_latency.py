"""How long from the answer to a commit until its effect is committed."""

import select
import statistics
import time

from benchmarks.event_stage import Figure, Stage, events_process, scalar, wait
from service_kit.events import catalog, store

LATENCY_EVENTS = 300
LATENCY_PAUSE = 0.02
_BEHIND = "SELECT count(*) FROM event_consumers, event_head WHERE position < last_position"


def latency(bench: Stage, redis_up: bool) -> Figure:
    """Milliseconds from the answer to a commit until its effect is committed, 99th percentile."""
    with events_process(bench):
        wait(lambda: scalar(bench.engine, _BEHIND) == 0)  # what was appended before is published, too
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
    wait(lambda: listen(0.05) == LATENCY_EVENTS)
    ear.close()
    return [handled[place] - committed[place] for place in committed]


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
