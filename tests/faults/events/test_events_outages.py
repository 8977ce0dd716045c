"""Redis away, slow or emptied, and transactions that stay open, cost latency and nothing else.

`OUTAGE_SECONDS=60 make test ARGS=tests/faults/events/test_events_outages.py` makes minutes of it.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
from redis import Redis as Client
from sqlalchemy import Engine

from devstack.redis import Redis
from tests.faults.events.load import Worker, Writers, check, latencies, wait_handled
from tests.support.events import append, scalar
from tests.support.waiting import wait_until

Start = Callable[..., Worker]

OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "4"))
"""By default longer than the doorbell's deadline, and than numbering looks back in its usual pass."""
POLL_SECONDS = 1.0
SLACK_SECONDS = 2.0  # this machine may be busy; the benchmark measures the real figure


@contextmanager
def stopped(redis: Redis) -> Iterator[None]:
    redis.kill()
    yield
    redis.start()


@contextmanager
def frozen(redis: Redis) -> Iterator[None]:
    server = psutil.Process(redis.daemon.pid)
    server.suspend()
    yield
    server.resume()


@contextmanager
def emptied(redis: Redis) -> Iterator[None]:
    with Client.from_url(redis.url) as client:
        client.flushall()
        client.client_kill_filter(_type="pubsub")
    yield


@pytest.mark.parametrize("outage", [stopped, frozen, emptied])
def test_whatever_happens_to_redis_costs_at_most_the_poll(
    engine: Engine, start_worker: Start, redis_server: Redis, outage: Callable[[Redis], object]
) -> None:
    start_worker().wait_active()
    with Writers(engine, count=1).writing() as writers:
        wait_until(lambda: len(writers.acknowledged) > 10, 10)
        with outage(redis_server):  # type: ignore[attr-defined]
            first = max(writers.acknowledged)
            time.sleep(OUTAGE_SECONDS)
            assert scalar(engine, "SELECT max(number) FROM seen") > first, "nothing was handled meanwhile"
        last = max(writers.acknowledged)
        wait_until(lambda: len(latencies(engine, last)) > 10, 20, "events of after the outage")
    wait_handled(engine)
    check(engine, writers)
    assert max(latencies(engine, 0)) < POLL_SECONDS + SLACK_SECONDS


def test_a_transaction_that_stays_open_delays_its_own_events_only(
    engine: Engine, start_worker: Start
) -> None:
    start_worker().wait_active()
    with engine.connect() as slow, Writers(engine, count=2).writing() as writers:
        slow.exec_driver_sql("SET idle_in_transaction_session_timeout = 0")
        append(slow, 99, number=1_000_000)
        time.sleep(OUTAGE_SECONDS)
        slow.commit()
        writers.acknowledged.add(1_000_000)
        late = "SELECT at - clock_timestamp() FROM seen WHERE number = 1000000"
        wait_until(lambda: scalar(engine, late) is not None, POLL_SECONDS + SLACK_SECONDS, "the late event")
    wait_handled(engine)
    check(engine, writers)
    others = latencies(engine, 0)[:-1]
    assert len(others) > 50
    assert others[-1] < POLL_SECONDS + SLACK_SECONDS
