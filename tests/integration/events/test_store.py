"""The store: an event is part of the change, and never altered."""

import uuid
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from service_kit.events import schema, store
from service_kit.events.store import NewEvent
from tests.support.events import TYPE, AlembicLike, append, publish, rows, scalar, sequence

DATA = {"user_id": 1, "scope": "all"}


def test_an_event_of_a_transaction_that_rolls_back_was_never_there(engine: Engine) -> None:
    with engine.connect() as connection:
        append(connection, 1)
        connection.rollback()
        append(connection, 2)
        connection.commit()
    assert rows(engine, "SELECT user_id FROM events") == [(2,)]


def test_what_is_read_is_what_was_appended(engine: Engine) -> None:
    data = {"user_id": None, "email": 'nul \0, lone \ud800, é, "', "ip": "::1", "reason": "unknown"}
    moment = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
    event_id = uuid.uuid4()
    with engine.begin() as connection:
        assert store.append(connection, "auth.login.failed", None, data, moment, event_id) == event_id
    sequence(engine)
    with engine.connect() as connection:
        [event] = store.read_after(connection, 0, 10)
    assert (event.position, event.id, event.type, event.user_id) == (
        1,
        str(event_id),
        "auth.login.failed",
        None,
    )
    assert (event.data, event.timestamp, event.version) == (data, moment, "1.0")


def test_many_events_keep_the_order_in_which_they_were_given(engine: Engine) -> None:
    users = [7, None, 7, 3, 9, 3] * 50
    with engine.begin() as connection:
        ids = store.append_many(
            connection, [NewEvent(TYPE, user, DATA | {"user_id": user}) for user in users]
        )
    sequence(engine)
    with engine.connect() as connection:
        found = store.read_after(connection, 0, 1000)
    assert [event.user_id for event in found] == users
    assert [event.id for event in found] == [str(each) for each in ids]
    assert store.append_many(connection, []) == []


def test_the_same_event_cannot_be_appended_twice(engine: Engine) -> None:
    event_id = uuid.uuid4()
    with engine.begin() as connection:
        store.append(connection, TYPE, 1, DATA, event_id=event_id)
    with pytest.raises(DBAPIError, match="events_pkey"), engine.begin() as connection:
        store.append(connection, TYPE, 1, DATA, event_id=event_id)


@pytest.mark.parametrize(
    ("event_type", "data", "moment"),
    [
        ("auth.logoff", DATA, None),
        (TYPE, {"user_id": 1}, None),
        (TYPE, DATA | {"n": float("inf")}, None),
        (TYPE, DATA, datetime(2026, 1, 1)),  # noqa: DTZ001, that is the mistake
    ],
)
def test_what_no_consumer_could_read_is_refused_before_the_database(
    engine: Engine, event_type: str, data: dict[str, object], moment: datetime | None
) -> None:
    with engine.connect() as connection, pytest.raises(ValueError, match=r"\w"):
        store.append(connection, event_type, 1, data, moment)
    assert scalar(engine, "SELECT count(*) FROM events") == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET type = 'user.registered'",
        "UPDATE events SET data = '{}'",
        "UPDATE events SET user_id = 5 WHERE position IS NULL",
        "UPDATE events SET occurred_at = now(), position = 9 WHERE position IS NULL",
        "UPDATE events SET position = position + 10 WHERE position IS NOT NULL",
        "UPDATE events SET position = NULL",
        "DELETE FROM events",
        "TRUNCATE events",
        "INSERT INTO events (position, event_id, type, version, data, occurred_at)"
        " VALUES (3, gen_random_uuid(), 'x', '1.0', '{}', now())",
        "SELECT set_config('events.retention', 'on', true); DELETE FROM events WHERE position IS NULL",
    ],
)
def test_an_event_is_never_altered_or_removed_by_hand(engine: Engine, statement: str) -> None:
    publish(engine, [1])
    sequence(engine)
    publish(engine, [2])
    before = rows(engine, "SELECT *, data::text FROM events ORDER BY id")
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.exec_driver_sql(statement)
    assert rows(engine, "SELECT *, data::text FROM events ORDER BY id") == before


def test_the_schema_goes_away_as_it_came(engine: Engine) -> None:
    def objects() -> list[tuple[object, ...]]:
        return rows(
            engine,
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname LIKE 'event%%'"
            " UNION SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
        )

    before = objects()
    assert len(before) > 8
    with engine.begin() as connection:
        schema.downgrade(AlembicLike(connection))
    assert objects() == []
    with engine.begin() as connection:
        schema.upgrade(AlembicLike(connection))
    assert objects() == before
