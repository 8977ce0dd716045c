"""Whatever is killed, whenever: every committed event is handled once, in order per user."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from devstack.postgres import Postgres
from devstack.redis import Redis
from service_kit.steps import CONTROL_VARIABLE, ROLE_VARIABLE
from tests.faults.events.load import Worker, Writers, check, wait_handled
from tests.faults.events.points import Killer
from tests.support.events import rows, scalar

Start = Callable[..., Worker]

POINTS = (
    "sequencer.locked",
    "sequencer.before_commit",
    "sequencer.committed",
    "relay.published",
    "consumer.before_commit",
    "consumer.counted",
    "consumer.committed",
)


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_of_everything_at_random_moments_lose_double_and_misplace_nothing(
    engine: Engine, start_worker: Start, postgres: Postgres, redis_server: Redis, seed: int
) -> None:
    choice = random.Random(seed)
    workers = [start_worker("one", SUPERVISED="off"), start_worker("two", SUPERVISED="off")]
    workers[0].wait_active()

    def kill_worker() -> None:
        worker = choice.choice(workers)
        worker.kill()
        worker.start()

    def kill_redis() -> None:
        redis_server.kill()
        time.sleep(choice.random() * 0.5)
        redis_server.start()

    def kill_postgres() -> None:
        postgres.kill()
        postgres.start()

    with Writers(engine, seed=seed).writing() as writers:
        for act in (
            kill_worker,
            kill_redis,
            kill_worker,
            kill_postgres,
            kill_worker,
            kill_worker,
            kill_postgres,
        ):
            time.sleep(choice.uniform(0.2, 1.2))
            act()
        time.sleep(0.5)
    wait_handled(engine)
    assert check(engine, writers) > 50
    assert len(writers.acknowledged) > 50


def test_a_kill_at_each_named_point_loses_doubles_and_misplaces_nothing(
    engine: Engine, start_worker: Start, tmp_path: Path
) -> None:
    killer = Killer(tmp_path / "points")
    steered = {"SUPERVISED": "off", CONTROL_VARIABLE: killer.path}
    try:
        with Writers(engine, count=2).writing() as writers:
            for point in POINTS:
                start_worker(point.replace(".", "-"), **steered, **{ROLE_VARIABLE: point}).wait_ended()
            start_worker("last", SUPERVISED="off")
        wait_handled(engine)
    finally:
        killer.close()
    assert killer.killed == list(POINTS)
    assert check(engine, writers) > 50


def test_another_process_takes_over_within_seconds(engine: Engine, start_worker: Start) -> None:
    first = start_worker("first", SUPERVISED="off").wait_active()
    owner = scalar(engine, "SELECT owner FROM event_consumers WHERE consumer_id = 'tests.seen'")
    start_worker("second", SUPERVISED="off")
    with Writers(engine, count=1).writing() as writers:
        time.sleep(2.0)  # the second one has to be up, which shows nowhere: it is idle
        first.kill()
        killed = time.monotonic()
        wait_handled(engine)
        assert time.monotonic() - killed < 10
    wait_handled(engine)
    check(engine, writers)
    assert owner not in [row[0] for row in rows(engine, "SELECT owner FROM event_consumers")]
