"""A replay gives the projection that live handling gave."""

import pytest
from sqlalchemy import Engine

from service_kit.events import decisions
from service_kit.events.consumer import Consumer
from service_kit.events.reader import Reader
from service_kit.events.source import StoreSource
from tests.support.events import (
    consumer,
    forget,
    heal,
    publish,
    reader,
    rows,
    running,
    scalar,
    seen,
    sequence,
    states,
)
from tests.support.waiting import wait_until

NAME = "tests.seen"
REBUILT = consumer(reset=forget)


def _caught_up(engine: Engine) -> bool:
    done = "SELECT position = last_position AND replay_from IS NULL FROM event_consumers, event_head"
    return bool(scalar(engine, done)) and "retry" not in states(engine).values()


def _live(engine: Engine) -> list[tuple[int | None, int]]:
    publish(engine, [place % 7 for place in range(300)])
    publish(engine, [3], act="raise")
    publish(engine, [place % 7 for place in range(300)])
    sequence(engine)
    with running(reader(engine, REBUILT)):
        wait_until(lambda: _caught_up(engine), 15)
        with engine.begin() as connection:
            decisions.discard(connection, NAME, 301, "ann", "poison")
        wait_until(lambda: len(seen(engine)) == 600 and _caught_up(engine), 15)
    return seen(engine)


def _per_user(effects: list[tuple[int | None, int]]) -> dict[int | None, list[int]]:
    return {user: [number for other, number in effects if other == user] for user, _ in effects}


def _replay(engine: Engine, position: int, what: Consumer = REBUILT) -> None:
    with engine.begin() as connection:
        decisions.want_replay(connection, NAME, position, "ann")
    with running(reader(engine, what)):
        wait_until(lambda: _caught_up(engine), 15)


def test_a_projection_rebuilt_from_the_first_event_equals_the_live_one(engine: Engine) -> None:
    live = _live(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE seen SET number = -1 WHERE n %% 3 = 0")  # what a bug may do to it
    _replay(engine, 1)
    assert _per_user(seen(engine)) == _per_user(live)
    assert states(engine) == {301: "discarded"}, "what was discarded stays so"


def test_events_that_arrive_during_a_replay_come_after_it(engine: Engine) -> None:
    live = _live(engine)
    with engine.begin() as connection:
        decisions.want_replay(connection, NAME, 1, "ann")
    publish(engine, [5])
    with running(reader(engine, REBUILT)):
        sequence(engine)
        wait_until(lambda: len(seen(engine)) == 601 and _caught_up(engine), 15)
    assert _per_user(seen(engine)) == _per_user([*live, (5, 1)])


def test_a_repeatable_consumer_handles_again_what_came_since(engine: Engine) -> None:
    publish(engine, range(10))
    sequence(engine)
    repeatable = consumer(repeatable=True)
    with running(reader(engine, repeatable)):
        wait_until(lambda: _caught_up(engine), 10)
    _replay(engine, 8, repeatable)
    assert [user for user, _ in seen(engine)] == [*range(10), 7, 8, 9]


def test_a_dead_letter_gets_its_chance_again_in_a_replay(engine: Engine) -> None:
    publish(engine, [1], act="raise")
    publish(engine, [1])
    sequence(engine)
    with running(reader(engine, REBUILT)):
        wait_until(lambda: _caught_up(engine), 10)
    assert states(engine) == {1: "dead", 2: "waiting"}
    heal(engine)
    _replay(engine, 1)
    assert [position for (position,) in rows(engine, "SELECT position FROM seen ORDER BY n")] == [1, 2]
    assert states(engine) == {}


def test_a_replay_of_events_that_were_dropped_leaves_everything_as_it_is(engine: Engine) -> None:
    live = _live(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT set_config('events.retention', 'on', true)")
        connection.exec_driver_sql("DELETE FROM events WHERE position <= 5")
    _replay(engine, 1)
    assert seen(engine) == live


@pytest.mark.parametrize("source", ["user", "auth"])
def test_the_process_tells_the_command_line_what_its_code_says(engine: Engine, source: str) -> None:
    what = consumer(source=source, reset=forget, repeatable=True)
    with running(Reader(engine, what, StoreSource(engine), policy=reader(engine)._policy, poll_seconds=0.02)):
        wait_until(lambda: scalar(engine, "SELECT owner FROM event_consumers") is not None, 10)
    with engine.connect() as connection:
        found = decisions.replayable(connection, NAME)
    assert found is not None
    assert (found.source, found.resettable, found.repeatable) == (source, True, True)
