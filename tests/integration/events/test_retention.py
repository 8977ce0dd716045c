"""Old events go by age, below the slowest consumer only, and their number slows nobody."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from service_kit.events import retention, sequencer, store
from service_kit.events.retention import Retention, drop_batch
from service_kit.events.sequencer import number
from tests.support.events import publish, rows, running, sequence
from tests.support.waiting import wait_until

OLD, YOUNG = timedelta(0), timedelta(days=30)


def _consumer(engine: Engine, name: str, position: int, source: str = "user") -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO event_consumers (consumer_id, source, position) VALUES (%s, %s, %s)"
            " ON CONFLICT (consumer_id) DO UPDATE SET position = EXCLUDED.position",
            (name, source, position),
        )


def _drop(engine: Engine, keep: timedelta, limit: int = 5000) -> int:
    with engine.begin() as connection:
        return drop_batch(connection, "user", keep, limit)


def _kept(engine: Engine) -> list[int | None]:
    return [row[0] for row in rows(engine, "SELECT position FROM events ORDER BY position")]


@pytest.fixture
def numbered(engine: Engine) -> Engine:
    """Ten numbered events and one that is not."""
    publish(engine, range(10))
    sequence(engine)
    publish(engine, [1])
    return engine


def test_nothing_is_dropped_above_the_slowest_consumer(numbered: Engine) -> None:
    _consumer(numbered, "fast", 9)
    _consumer(numbered, "slow", 4)
    _consumer(numbered, "of another store", 0, source="auth")
    assert _drop(numbered, OLD) == 4
    assert _kept(numbered) == [5, 6, 7, 8, 9, 10, None]


def test_a_consumer_of_another_service_counts_by_what_it_acknowledged(numbered: Engine) -> None:
    _consumer(numbered, "fast", 9)
    with numbered.begin() as connection:
        connection.exec_driver_sql("INSERT INTO event_readers VALUES ('remote', 2, now())")
    assert _drop(numbered, OLD) == 2


def test_a_wanted_replay_keeps_its_events(numbered: Engine) -> None:
    _consumer(numbered, "fast", 9)
    with numbered.begin() as connection:
        connection.exec_driver_sql("UPDATE event_consumers SET replay_from = 3")
    assert _drop(numbered, OLD) == 2


def test_young_events_stay_whatever_the_consumers_have_done(numbered: Engine) -> None:
    _consumer(numbered, "fast", 10)
    assert _drop(numbered, YOUNG) == 0


def test_nothing_is_dropped_before_anybody_has_read(numbered: Engine) -> None:
    assert _drop(numbered, OLD) == 0


def test_a_batch_is_bounded_and_takes_the_oldest(numbered: Engine) -> None:
    _consumer(numbered, "fast", 10)
    assert _drop(numbered, OLD, limit=3) == 3
    assert _kept(numbered) == [4, 5, 6, 7, 8, 9, 10, None]


def test_positions_go_on_where_they_were_when_everything_is_dropped(numbered: Engine) -> None:
    _consumer(numbered, "fast", 10)
    with running(Retention(numbered, "user", OLD)):
        wait_until(lambda: _kept(numbered) == [None], 10)
    with numbered.connect() as connection:
        assert store.bounds(connection) == (11, 10)
    assert sequence(numbered) == 1
    assert _kept(numbered) == [11]


def test_a_million_old_events_do_not_slow_the_poll_nor_the_numbering(engine: Engine) -> None:
    """Every statement of the poll reads a handful of pages, by index, among a million rows."""
    _fill(engine, 1_000_000)
    publish(engine, range(20))
    with engine.connect() as connection:
        assert number(connection)[0] == 20
    statements = (
        store._READ % (1_000_000, 500),
        sequencer._ANY % 0,
        store._BOUNDS,
    )
    for statement in statements:
        plan = "\n".join(
            line for (line,) in rows(engine, f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) {statement}")
        )
        assert "Seq Scan on events" not in plan, plan
        assert _pages(plan) < 50, plan
    _consumer(engine, "slow", 0)
    _consumer(engine, "fast", 1_000_000)
    plan = "\n".join(line for (line,) in rows(engine, _drop_plan()))
    assert "Seq Scan on events" not in plan, plan


def _fill(engine: Engine, count: int) -> None:
    """Numbered events of two months ago, written without the rules and with the indexes made at the end."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in (
            "SET statement_timeout = 0",
            "ALTER TABLE events DISABLE TRIGGER USER",
            "ALTER TABLE events DROP CONSTRAINT events_pkey",
            "DROP INDEX events_position, events_unsequenced",
            "INSERT INTO events (position, event_id, type, version, user_id, data, occurred_at, recorded_at)"
            " SELECT n, lpad(to_hex(n), 32, '0')::uuid, 'auth.logout', '1.0', n %% 50000,"
            " '{\"user_id\": 1, \"scope\": \"all\"}', now() - interval '60 d', now() - interval '60 d'"
            f" FROM generate_series(1, {count}) AS n",
            "ALTER TABLE events ADD PRIMARY KEY (event_id)",
            "CREATE UNIQUE INDEX events_position ON events (position) WHERE position IS NOT NULL",
            "CREATE UNIQUE INDEX events_unsequenced ON events (id) WHERE position IS NULL",
            "ALTER TABLE events ENABLE TRIGGER USER",
            f"UPDATE event_head SET last_position = {count}",
            "VACUUM ANALYZE events",
        ):
            connection.exec_driver_sql(statement, ())


def _pages(plan: str) -> int:
    """Of all nodes of a plan, the outermost of which counts those below it."""
    return max(sum(map(int, re.findall(r"(?:hit|read)=(\d+)", line))) for line in plan.splitlines())


def _drop_plan() -> str:
    return "EXPLAIN " + retention._DROP.replace("%s", "{}").format(900_000, 5000, "interval '30 days'")
