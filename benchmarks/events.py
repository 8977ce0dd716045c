"""Events: what an append costs, how fast a consumer is, how long from a commit to its effect.

`python -m benchmarks.events [--json]` starts a PostgreSQL (with fsync) and a Redis of its own in a temporary folder,
and a real events process. Beside each figure stands what this machine can do at most, measured in the same
minute: the same rows through the bare driver, the same commits without us. Exit code 1 when a target is
missed.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict

from sqlalchemy import Engine

from benchmarks.event_latency import latency
from benchmarks.event_stage import USERS, Figure, Stage, events_process, scalar, stage, wait
from service_kit.events import catalog, store
from service_kit.events.loop import Loop
from service_kit.events.sequencer import Sequencer
from service_kit.events.store import NewEvent

SLICE = 10
SLICES = 250
CONSUMED = 20_000


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
        wait(lambda: scalar(bench.engine, "SELECT count(*) FROM effects") == CONSUMED, 120)
    seconds = float(scalar(bench.engine, "SELECT extract(epoch FROM max(at) - min(at)) FROM effects"))
    bare = _bare_rate(bench)
    return [
        Figure("consumed, handler writes one row", CONSUMED / seconds, "events/s", 3000, True, bare,
               "rows/s, bare driver, 500 a commit"),
        Figure("numbered", numbering, "events/s", 3000, True, bare, "rows/s, bare driver, 500 a commit"),
    ]  # fmt: skip


def _append(engine: Engine, count: int) -> None:
    for start in range(0, count, 1000):
        users = [place % 1000 for place in range(start, start + 1000)]
        events = [NewEvent(catalog.AUTH_LOGOUT, user, {"user_id": user, "scope": "this"}) for user in users]
        with engine.begin() as connection:
            store.append_many(connection, events)


def _numbering_rate(engine: Engine) -> float:
    sequencer: Loop = Sequencer(engine, on_numbered=lambda: None)
    head = "SELECT last_position FROM event_head"
    before = scalar(engine, head)
    started = time.perf_counter()
    sequencer.start()
    wait(lambda: scalar(engine, "SELECT count(*) FROM events WHERE position IS NULL") == 0, 60)
    seconds = time.perf_counter() - started
    sequencer.stop()
    sequencer.join()
    return float(scalar(engine, head) - before) / seconds


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
