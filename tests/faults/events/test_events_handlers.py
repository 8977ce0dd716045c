"""Handlers that end their process, and operators who restart it."""

import os
import signal
from collections.abc import Callable

import psutil
from sqlalchemy import Engine

from tests.faults.events.load import Worker, wait_handled, wrong
from tests.support.events import append, publish, rows, scalar, seen, states
from tests.support.waiting import wait_until

Start = Callable[..., Worker]


def test_an_event_that_kills_its_process_becomes_a_dead_letter_and_its_neighbours_go_on(
    engine: Engine, start_worker: Start
) -> None:
    with engine.begin() as connection:
        for place in range(1, 41):
            append(connection, place % 4, place, **({"act": "exit"} if place == 6 else {}))
    start_worker()
    wait_until(lambda: states(engine).get(6) == "dead", 60, "the dead letter")
    wait_handled(engine)
    held_up = [place for place in range(7, 41) if place % 4 == 2]
    assert states(engine) == {6: "dead"} | dict.fromkeys(held_up, "waiting")
    assert sorted(seen(engine)) == sorted((p % 4, p) for p in range(1, 41) if p % 4 != 2 or p < 6)
    [(attempts, error)] = rows(engine, "SELECT attempts, error FROM event_failures WHERE position = 6")
    assert attempts == 3
    assert wrong(engine) == ["dead_letters"]
    assert "ended while it handled this event" in error
    assert scalar(engine, "SELECT max(attempts) FROM event_failures WHERE position <> 6") == 0


def test_restarts_by_the_operator_charge_no_event(engine: Engine, start_worker: Start) -> None:
    publish(engine, [place % 5 for place in range(600)], act="slow", seconds=0.005)
    for turn in range(4):
        worker = start_worker(f"turn-{turn}")
        before = len(seen(engine))
        wait_until(lambda before=before: len(seen(engine)) > before, 30)  # type: ignore[misc]
        worker.stop()
        assert scalar(engine, "SELECT batch_to FROM event_consumers WHERE consumer_id = 'tests.seen'") is None
        assert rows(engine, "SELECT * FROM event_failures") == []
    start_worker("last")
    wait_handled(engine)
    assert [number for _, number in seen(engine)] == list(range(1, 601))


def test_the_working_process_does_not_outlive_its_supervisor_nor_the_other_way_round(
    engine: Engine, start_worker: Start
) -> None:
    worker = start_worker().wait_active()
    assert worker.pid
    supervisor = psutil.Process(worker.pid)
    [child] = supervisor.children()
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: [each for each in supervisor.children() if each.pid != child.pid], 10, "a new child")
    [child] = supervisor.children()
    os.kill(supervisor.pid, signal.SIGKILL)
    wait_until(
        lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 10, "the child's end"
    )
    publish(engine, [1])
    start_worker("next")
    wait_handled(engine)
    assert seen(engine) == [(1, 1)]
