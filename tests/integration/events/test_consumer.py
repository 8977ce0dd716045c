"""A consumer: effects once, in order per user, a failure holds up its own user only."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from sqlalchemy import Connection, Engine

from service_kit.events import catalog, decisions
from service_kit.events.envelope import Event
from service_kit.events.retry import RetryPolicy
from tests.support.events import (
    TYPE,
    append,
    consumer,
    handle,
    heal,
    insert_raw,
    note,
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


def cursor(engine: Engine) -> int:
    return scalar(engine, "SELECT position FROM event_consumers WHERE consumer_id = %s", (NAME,)) or 0


def caught_up(engine: Engine) -> Callable[[], bool]:
    head = scalar(engine, "SELECT last_position FROM event_head")
    return lambda: cursor(engine) == head


def settled(engine: Engine) -> Callable[[], bool]:
    """Read to the end, and no attempt to come."""
    return lambda: caught_up(engine)() and "retry" not in states(engine).values()


def run(engine: Engine, until: Callable[[], bool], **more: object) -> None:
    with running(reader(engine, **more)):
        wait_until(until, 15)


def test_every_event_is_handled_once_and_in_order_and_the_cursor_says_so(engine: Engine) -> None:
    publish(engine, [place % 10 for place in range(1, 1201)])
    sequence(engine)
    run(engine, caught_up(engine))
    assert seen(engine) == [(place % 10, place) for place in range(1, 1201)]
    [(event_id, at, last)] = rows(
        engine, "SELECT last_processed_event_id, last_processed_at, position FROM event_consumers"
    )
    assert (event_id,) == rows(engine, "SELECT event_id FROM events WHERE position = 1200")[0]
    assert at is not None
    assert last == 1200


def test_types_of_others_pass_by_without_a_trace(engine: Engine) -> None:
    insert_raw(engine, "user.registered", "1.0", 1)
    publish(engine, [1])
    insert_raw(engine, "user.registered", "9.0", 1)
    sequence(engine)
    run(engine, caught_up(engine))
    assert seen(engine) == [(1, 1)]
    assert states(engine) == {}


def test_a_failing_event_is_tried_as_often_as_allowed_and_holds_up_its_own_user_only(engine: Engine) -> None:
    with engine.begin() as connection:
        for place in range(1, 101):
            append(connection, place % 5, place, **({"act": "raise"} if place == 13 else {}))
    sequence(engine)
    run(engine, settled(engine))
    others = [(place % 5, place) for place in range(1, 101) if place % 5 != 3 or place < 13]
    assert sorted(seen(engine)) == sorted(others)
    [(state, attempts, error, traceback)] = rows(
        engine, "SELECT state, attempts, error, traceback FROM event_failures WHERE position = 13"
    )
    assert (state, attempts, error) == ("dead", 3, "ValueError: this event cannot be handled")
    assert "raise ValueError" in traceback
    later = [place for place in range(14, 101) if place % 5 == 3]
    assert states(engine) == {13: "dead"} | dict.fromkeys(later, "waiting")


def test_events_that_come_after_the_failure_wait_as_well(engine: Engine) -> None:
    publish(engine, [1], act="raise")
    sequence(engine)
    run(engine, settled(engine))
    publish(engine, [1, 2])
    sequence(engine)
    run(engine, settled(engine))
    assert seen(engine) == [(2, 2)]
    assert states(engine) == {1: "dead", 2: "waiting"}


def test_a_requeued_event_is_followed_by_what_waited_behind_it_in_order(engine: Engine) -> None:
    with engine.begin() as connection:
        for place in range(1, 31):
            append(connection, 7, place, **({"act": "raise"} if place in (3, 20) else {}))
    sequence(engine)
    run(engine, settled(engine))
    assert seen(engine) == [(7, 1), (7, 2)]
    heal(engine)
    with engine.begin() as connection:
        assert decisions.requeue(connection, NAME, "ann", key="user:7") == [3]
    run(engine, lambda: states(engine) == {})
    assert seen(engine) == [(7, place) for place in range(1, 31)]


def test_a_discarded_event_leaves_who_when_and_why_and_lets_its_user_go_on(engine: Engine) -> None:
    publish(engine, [7], act="raise")
    publish(engine, [7, 7])
    sequence(engine)
    run(engine, settled(engine))
    with engine.begin() as connection:
        assert decisions.discard(connection, NAME, 1, "ann", "a test account")
        assert not decisions.discard(connection, NAME, 1, "bob", "again")
    run(engine, lambda: seen(engine) == [(7, 1), (7, 2)])
    [trace] = rows(
        engine,
        "SELECT state, decided_by, decision_reason, decided_at IS NOT NULL, attempts, event->'data'->>'act'"
        " FROM event_failures",
    )
    assert trace == ("discarded", "ann", "a test account", True, 3, "raise")


def test_a_waiting_event_can_be_discarded_too_and_the_head_stays_the_head(engine: Engine) -> None:
    publish(engine, [7], act="raise")
    publish(engine, [7, 7])
    sequence(engine)
    run(engine, settled(engine))
    with engine.begin() as connection:
        assert decisions.discard(connection, NAME, 2, "ann", "not wanted")
    assert states(engine) == {1: "dead", 2: "discarded", 3: "waiting"}
    heal(engine)
    with engine.begin() as connection:
        decisions.requeue(connection, NAME, "ann")
    run(engine, lambda: states(engine) == {2: "discarded"})
    assert [event for _, event in seen(engine)] == [1, 2]


def test_an_error_that_comes_with_the_commit_is_the_events_too(engine: Engine) -> None:
    publish(engine, [1, 2])
    publish(engine, [3], act="twice")
    publish(engine, [4])
    sequence(engine)
    run(engine, settled(engine))
    assert sorted(user for user, _ in seen(engine)) == [1, 2, 4]
    assert states(engine) == {3: "dead"}


def test_one_poisoned_user_among_a_thousand_costs_the_others_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        for user in range(1000):
            append(connection, user, 1, **({"act": "raise"} if user == 500 else {}))
        for user in range(1000):
            append(connection, user, 2)
    sequence(engine)
    run(engine, settled(engine))
    assert sorted(seen(engine)) == [(user, event) for user in range(1000) if user != 500 for event in (1, 2)]
    assert states(engine) == {501: "dead", 1501: "waiting"}


def test_an_event_that_waits_for_something_that_is_away_never_becomes_a_dead_letter(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service_kit.events.alone._UNAVAILABLE_SECONDS", 0.02)
    publish(engine, [1], act="unavailable")
    publish(engine, [1])
    sequence(engine)
    tries = "SELECT failed_at FROM event_failures WHERE position = 1"
    times = set()
    with running(reader(engine, policy=RetryPolicy(2, base=0.01))):
        wait_until(lambda: times.add(scalar(engine, tries)) or len(times) > 6, 10)
        assert states(engine) == {1: "retry", 2: "waiting"}
        heal(engine)
        wait_until(lambda: seen(engine) == [(1, 1), (1, 1)], 10)


@pytest.mark.parametrize(
    ("event_type", "version", "blocks"), [("user.moved", "1.0", False), (TYPE, "2.0", True)]
)
def test_an_event_of_an_unknown_kind_is_parked_and_crashes_nothing(
    engine: Engine, event_type: str, version: str, blocks: bool
) -> None:
    insert_raw(engine, event_type, version, 1)
    publish(engine, [1, 2])
    sequence(engine)
    run(engine, settled(engine))
    assert states(engine)[1] == "parked"
    assert (2 in states(engine)) == blocks, "an unknown version of a type of ours keeps its user's order"
    assert seen(engine) == ([(2, 2)] if blocks else [(1, 1), (2, 2)])


def test_a_release_that_knows_the_version_handles_what_was_parked_first(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_raw(engine, TYPE, "2.0", 1, '{"number": 0}')
    publish(engine, [1])
    sequence(engine)
    run(engine, settled(engine))
    monkeypatch.setattr(catalog, "VERSION", "2.0")
    heal(engine)
    run(engine, lambda: len(seen(engine)) == 1 and states(engine) == {2: "parked"})
    assert seen(engine) == [(1, 0)]
    assert states(engine) == {2: "parked"}, (
        "its own successor is of a version that this release does not know"
    )


def test_a_requeued_event_of_an_unknown_kind_is_parked_again(engine: Engine) -> None:
    insert_raw(engine, "user.moved", "1.0", 1)
    sequence(engine)
    run(engine, settled(engine))
    with engine.begin() as connection:
        assert decisions.requeue(connection, NAME, "ann") == [1]
    run(engine, lambda: states(engine) == {1: "parked"})


def test_batches_go_through_the_batch_handler_and_failures_through_the_other_one(engine: Engine) -> None:
    sizes: list[int] = []

    def many(connection: Connection, events: Sequence[Event]) -> None:
        sizes.append(len(events))
        if any("act" in event.data for event in events):
            raise ValueError("one of them")
        for event in events:
            note(connection, "", event)

    publish(engine, range(700))
    publish(engine, [1], act="raise")
    sequence(engine)
    run(engine, settled(engine), what=consumer(handle_many=many))
    assert sizes == [500, 201]
    assert len(seen(engine)) == 700
    assert states(engine) == {701: "dead"}


def test_a_batch_takes_its_time_in_bites_and_a_stop_ends_it_between_two_events(engine: Engine) -> None:
    publish(engine, range(400), act="slow", seconds=0.01)
    sequence(engine)
    with running(reader(engine)):
        wait_until(lambda: cursor(engine) > 0, 10)
    first = cursor(engine)
    assert 0 < first < 400
    assert len(seen(engine)) == first
    assert scalar(engine, "SELECT batch_to FROM event_consumers") is None, "a stop looks like a crash"


def test_a_second_process_waits_and_takes_over_when_the_first_one_ends(engine: Engine) -> None:
    calls: dict[str, int] = {"first": 0, "second": 0}

    def counting(name: str) -> Callable[[Connection, Event], None]:
        def count(connection: Connection, event: Event) -> None:
            calls[name] += 1
            handle(connection, event)

        return count

    second = reader(engine, replace(consumer(), handle=counting("second")))
    with running(reader(engine, replace(consumer(), handle=counting("first")))):
        wait_until(lambda: scalar(engine, "SELECT owner FROM event_consumers") is not None, 10)
        second.start()
        publish(engine, range(50))
        sequence(engine)
        wait_until(caught_up(engine), 10)
    assert calls == {"first": 50, "second": 0}
    publish(engine, range(50))
    sequence(engine)
    wait_until(caught_up(engine), 10)
    second.stop()
    second.join(10)
    assert calls == {"first": 50, "second": 50}
    assert len(seen(engine)) == 100


def test_a_hole_in_the_source_is_never_stepped_over(engine: Engine) -> None:
    publish(engine, range(10))
    sequence(engine)
    run(engine, caught_up(engine))
    publish(engine, range(10))
    sequence(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT set_config('events.retention', 'on', true)")
        connection.exec_driver_sql("DELETE FROM events WHERE position <= 12")
    with running(reader(engine)):
        problem = "SELECT problem FROM event_consumers"
        wait_until(lambda: "11 to 12" in (scalar(engine, problem) or ""), 10)
    assert cursor(engine) == 10
