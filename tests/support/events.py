"""A database with the event tables and a log of effects, and consumers whose events say how they end."""

import functools
import itertools
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, text

from devstack.postgres import Postgres
from service_kit.errors import Unavailable
from service_kit.events import catalog, schema, store
from service_kit.events.consumer import Consumer
from service_kit.events.envelope import Event
from service_kit.events.loop import Loop
from service_kit.events.reader import Reader
from service_kit.events.retry import RetryPolicy
from service_kit.events.sequencer import number
from service_kit.events.source import StoreSource
from service_kit.events.store import NewEvent

OWNER = "user_service"
TYPE = catalog.AUTH_LOGOUT
_TABLES = """
CREATE TABLE seen (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    event_id UUID NOT NULL,
    user_id BIGINT,
    number BIGINT,
    at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE healed (what TEXT PRIMARY KEY);
CREATE TABLE once (number BIGINT UNIQUE DEFERRABLE INITIALLY DEFERRED);
"""

_numbers = itertools.count(1)


class AlembicLike:
    """What a revision of Alembic gives to `schema.upgrade`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, statement: str) -> None:
        """Run SQL as Alembic's `op.execute` does."""
        self._connection.execute(text(statement))


def make_database(postgres: Postgres) -> str:
    """A new database with the event tables and `seen`; returns its address for SQLAlchemy."""
    name = f"events_{os.getpid()}_{next(_numbers)}"
    postgres.create_database(name, OWNER, _template(postgres))
    return _url(postgres, name)


@functools.cache
def _template(postgres: Postgres) -> str:
    name = f"events_{os.getpid()}_template"
    postgres.create_database(name, OWNER)
    engine = create_engine(_url(postgres, name), poolclass=NullPool)
    with engine.begin() as connection:
        schema.upgrade(AlembicLike(connection))
        connection.exec_driver_sql(_TABLES)
    return name


def _url(postgres: Postgres, name: str) -> str:
    return postgres.url(name).replace("postgresql://", "postgresql+psycopg2://")


def handle(connection: Connection, event: Event) -> None:
    """Write a row into `seen`, and then do what the event's `act` says."""
    note(connection, "", event)
    act = event.data.get("act")
    if act == "raise" and not is_healed(connection):
        raise ValueError("this event cannot be handled")
    if act == "unavailable" and not is_healed(connection):
        raise Unavailable("the other side is away")
    if act == "exit" and not is_healed(connection):
        os._exit(3)
    if act == "twice":  # the error comes with the commit
        connection.exec_driver_sql("INSERT INTO once VALUES (1), (1)")
    if act == "slow":
        time.sleep(event.data["seconds"])


def note(connection: Connection, consumer_id: str, event: Event) -> None:
    """The effect that the tests count."""
    connection.exec_driver_sql(
        "INSERT INTO seen (consumer_id, position, event_id, user_id, number) VALUES (%s, %s, %s, %s, %s)",
        (consumer_id, event.position, event.id, event.user_id, event.data.get("number")),
    )


def forget(connection: Connection) -> None:
    """Empty the projection."""
    connection.exec_driver_sql("DELETE FROM seen")


def consumer(name: str = "tests.seen", source: str = "user", **more: Any) -> Consumer:
    """A consumer of TYPE with `handle`, but for what `more` says."""
    values: dict[str, Any] = {"types": frozenset({TYPE}), "handle": handle, **more}
    return Consumer(name=name, source=source, **values)


def heal(engine: Engine) -> None:
    """From now on no event fails."""
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO healed VALUES ('all')")


def is_healed(connection: Connection) -> bool:
    """Whether `heal` was called."""
    return bool(connection.exec_driver_sql("SELECT EXISTS (SELECT FROM healed)").scalar_one())


def append(connection: Connection, user_id: int | None, number: int = 0, **more: Any) -> None:
    """One event of TYPE in the caller's transaction; `number` and `more` go into its data."""
    data = {"user_id": user_id, "scope": "this", "number": number, **more}
    store.append(connection, TYPE, user_id, data)


def publish(engine: Engine, user_ids: Iterable[int | None], **more: Any) -> None:
    """An event for each of `user_ids`, numbered from 1 in `number`, committed together."""
    events = [
        NewEvent(TYPE, user_id, {"user_id": user_id, "scope": "this", "number": place, **more})
        for place, user_id in enumerate(user_ids, 1)
    ]
    with engine.begin() as connection:
        store.append_many(connection, events)


def sequence(engine: Engine) -> int:
    """Number everything visible; how many there were."""
    total = 0
    with engine.connect() as connection:
        while count := number(connection)[0]:
            total += count
    return total


def insert_raw(engine: Engine, event_type: str, version: str, user_id: int | None, data: str = "{}") -> None:
    """An event as a newer release might write it."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO events (event_id, type, version, user_id, data, occurred_at)"
            " VALUES (gen_random_uuid(), %s, %s, %s, %s, now())",
            (event_type, version, user_id, data),
        )


def seen(engine: Engine) -> list[tuple[int | None, int]]:
    """(user, number) of the effects, in their order."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT user_id, number FROM seen ORDER BY n").all()
    return [(row[0], row[1]) for row in rows]


def scalar(engine: Engine, statement: str, parameters: tuple[Any, ...] = ()) -> Any:
    """The first column of the first row."""
    with engine.connect() as connection:
        return connection.exec_driver_sql(statement, parameters or None).scalar()


def rows(engine: Engine, statement: str) -> list[tuple[Any, ...]]:
    """All rows."""
    with engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement, ()).all()]


def states(engine: Engine) -> dict[int, str]:
    """Position -> state of what is kept in `event_failures`."""
    found = rows(engine, "SELECT position, state FROM event_failures ORDER BY position")
    return {row[0]: row[1] for row in found}


@contextmanager
def running(*loops: Loop) -> Iterator[None]:
    """The threads run within the block and have ended behind it."""
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        for loop in loops:
            loop.stop()
        for loop in loops:
            loop.join(20)
        assert not [loop.name for loop in loops if loop.is_alive()]


def reader(engine: Engine, what: Consumer | None = None, **more: Any) -> Reader:
    """The thread of a consumer that reads `engine` itself; impatient unless `more` says otherwise."""
    policy = more.get("policy", RetryPolicy(3, base=0.02))
    source = more.get("source", StoreSource(engine))
    return Reader(engine, what or consumer(), source, policy, more.get("poll_seconds", 0.02))
