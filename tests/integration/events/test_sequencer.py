"""Positions: without gaps, in the order in which commits became visible, held up by nobody."""

import random
import threading
import time

import pytest
from sqlalchemy import Connection, Engine

from service_kit.events import sequencer
from service_kit.events.sequencer import Sequencer, number
from tests.support.events import append, publish, rows, running, scalar, sequence
from tests.support.waiting import wait_until

WRITERS = 6


def positions(engine: Engine) -> list[int]:
    return [
        row[0] for row in rows(engine, "SELECT position FROM events WHERE position IS NOT NULL ORDER BY 1")
    ]


def position_of(engine: Engine, event_number: int) -> int | None:
    return scalar(engine, "SELECT position FROM events WHERE (data->>'number')::int = %s", (event_number,))


class History:
    """Random writers on connections of their own: they append, and later commit or roll back."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.random = random.Random(seed)
        self.engine = engine
        self.open: dict[int, tuple[Connection, list[int]]] = {}
        self.committed: list[list[int]] = []
        self.last = 0

    def step(self) -> None:
        """One writer does one thing, or the sequencer works once."""
        writer = self.random.randrange(WRITERS)
        what = self.random.choice(("append", "append", "commit", "roll back", "number"))
        if what == "append":
            connection, mine = self.open.setdefault(writer, (self.engine.connect(), []))
            self.last += 1
            mine.append(self.last)
            append(connection, writer, self.last)
        elif what == "number":
            sequence(self.engine)
        elif writer in self.open:
            self.end(writer, commit=what == "commit")

    def end(self, writer: int, *, commit: bool) -> None:
        """End the writer's transaction."""
        connection, mine = self.open.pop(writer)
        if commit:
            connection.commit()
            self.committed.append(mine)
        else:
            connection.rollback()
        connection.close()


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_order_of_commits_positions_are_one_to_n_and_none_appears_behind_another(
    engine: Engine, seed: int
) -> None:
    history = History(engine, seed)
    read: list[int] = []
    for _ in range(50):
        for _ in range(3):
            history.step()
        found = positions(engine)
        assert found == list(range(1, len(found) + 1))
        now = [row[0] for row in rows(engine, "SELECT (data->>'number')::int FROM events WHERE position > 0"
                                              " ORDER BY position")]  # fmt: skip
        assert now[: len(read)] == read, "what a reader has read changed behind its back"
        read = now
    for writer in list(history.open):
        history.end(writer, commit=True)
    sequence(engine)
    everything = [event for events in history.committed for event in events]
    assert positions(engine) == list(range(1, len(everything) + 1))
    for events in history.committed:  # of one transaction, and so of one user
        given = [position_of(engine, event) for event in events]
        assert given == sorted(given, key=lambda position: position or 0)


def test_events_numbered_in_different_passes_follow_the_order_of_commits_not_of_inserts(
    engine: Engine,
) -> None:
    with engine.connect() as slow:
        append(slow, 1, number=1)
        publish(engine, [2])
        assert sequence(engine) == 1
        slow.commit()
    assert sequence(engine) == 1
    assert rows(engine, "SELECT user_id, position FROM events ORDER BY id") == [(1, 2), (2, 1)]


def test_several_sequencers_at_once_give_every_position_once(engine: Engine) -> None:
    total, done = 1200, threading.Event()

    def write(worker: int) -> None:
        for place in range(total // 4):
            with engine.begin() as connection:
                append(connection, worker, place)

    def work() -> None:
        with engine.connect() as connection:
            while not done.is_set():
                number(connection, limit=7)

    writers = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    sequencers = [threading.Thread(target=work) for _ in range(3)]
    for thread in writers + sequencers:
        thread.start()
    for thread in writers:
        thread.join()
    wait_until(lambda: scalar(engine, "SELECT last_position FROM event_head") == total, 20)
    done.set()
    for thread in sequencers:
        thread.join()
    assert positions(engine) == list(range(1, total + 1))
    assert (
        rows(engine, "SELECT user_id FROM events GROUP BY user_id, data->>'number' HAVING count(*) > 1") == []
    )


def test_a_transaction_that_stays_open_delays_its_own_events_only(engine: Engine) -> None:
    numbered = threading.Event()
    with engine.connect() as slow, running(Sequencer(engine, numbered.set)):
        append(slow, 1, number=-1)
        began = time.monotonic()
        worst = 0.0
        for place in range(1, 61):  # for about as long as a sequencer takes to look at recent identities only
            publish(engine, [place])
            sent = time.monotonic()
            wait_until(lambda: scalar(engine, "SELECT count(*) FROM events WHERE position IS NULL") == 0, 5)
            worst = max(worst, time.monotonic() - sent)
            if time.monotonic() - began < 3 and place == 60:
                time.sleep(3 - (time.monotonic() - began))
        assert position_of(engine, -1) is None
        slow.commit()
        wait_until(lambda: position_of(engine, -1) is not None, 5, "the late event's position")
    assert numbered.is_set()
    assert worst < 1.0
    assert positions(engine) == list(range(1, 62))


def test_the_scan_for_unnumbered_events_stays_an_index_range_whatever_the_statistics(engine: Engine) -> None:
    publish(engine, range(2000))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE events")  # nothing is numbered: the worst statistics there can be
    sequence(engine)
    plan = rows(engine, f"EXPLAIN {sequencer._ANY % 1}")
    assert any("events_unsequenced" in line for (line,) in plan), plan
    assert not any("Seq Scan" in line for (line,) in plan), plan
