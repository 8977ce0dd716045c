"""What the benchmarks of events stand on: PostgreSQL with fsync, Redis, a database, a real events process."""

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
from sqlalchemy import Connection, Engine, create_engine, text

from devstack.postgres import Postgres
from devstack.redis import Redis
from service_kit.events import catalog, runner, schema
from service_kit.events.consumer import Consumer
from service_kit.events.envelope import Event
from service_kit.settings import load

USERS = 10_000

_TABLES = f"""
CREATE TABLE users (id BIGINT PRIMARY KEY, email TEXT NOT NULL, name TEXT, updated_at TIMESTAMPTZ);
INSERT INTO users SELECT n, 'user' || n || '@example.com', 'name', now() FROM generate_series(1, {USERS}) AS n;
CREATE TABLE effects (position BIGINT, user_id BIGINT, at TIMESTAMPTZ DEFAULT clock_timestamp());
"""


@dataclass(frozen=True)
class Figure:
    """One line of the result. `limit`: what the machine gives without us; `target`: what was promised."""

    what: str
    value: float
    unit: str
    target: float
    at_least: bool
    limit: float
    limit_of: str

    @property
    def met(self) -> bool:
        """Whether the promise holds."""
        return self.value >= self.target if self.at_least else self.value <= self.target


class _Op:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, statement: str) -> None:
        self._connection.execute(text(statement))


@dataclass(frozen=True)
class Stage:
    """Servers with one fresh database."""

    engine: Engine
    url: str
    redis: Redis

    def raw(self) -> psycopg2.extensions.connection:
        """A connection without SQLAlchemy."""
        return psycopg2.connect(self.url)


@contextmanager
def stage() -> Iterator[Stage]:
    """PostgreSQL and Redis for the benchmark."""
    home = Path(tempfile.mkdtemp(prefix="bench-events-"))
    home.chmod(0o711)
    postgres, redis = Postgres(home / "postgres"), Redis(home / "redis")
    try:
        postgres.start()
        redis.start()
        postgres.create_role("bench")
        postgres.create_database("bench", "bench")
        url = postgres.url("bench")
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
        with engine.begin() as connection:
            schema.upgrade(_Op(connection))
            connection.exec_driver_sql(_TABLES)
        yield Stage(engine, url, redis)
        engine.dispose()
    finally:
        redis.destroy()
        postgres.destroy()
        shutil.rmtree(home, ignore_errors=True)


def _handle(connection: Connection, event: Event) -> None:
    connection.exec_driver_sql(
        "INSERT INTO effects (position, user_id) VALUES (%s, %s)", (event.position, event.user_id)
    )
    if "tell" in event.data:  # delivered with the commit
        connection.exec_driver_sql("SELECT pg_notify('handled', %s)", (str(event.data["tell"]),))


def _serve(url: str, redis_url: str) -> None:
    """An events process: all of its threads and one consumer."""
    keys = {f"{name}_API_KEYS": "sample-key-of-a-benchmark" for name in ("GATEWAY", "USER", "AUTH")}
    environ = {"USER_DATABASE_URL": url, "REDIS_URL": redis_url, "LEGACY_SQLITE_PATH": "", **keys}
    settings = load("user", environ)
    consumer = Consumer("bench", "user", frozenset({catalog.AUTH_LOGOUT}), _handle)
    sys.exit(runner.work(settings, "user", settings.user_database_url, [consumer]))


@contextmanager
def events_process(bench: Stage) -> Iterator[None]:
    """The process runs within the block, and is at work when the block begins."""
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(bench.url, bench.redis.url))
    process.start()
    try:
        alive = (
            "SELECT count(*) = 2 FROM event_consumers WHERE heartbeat_at > clock_timestamp() - interval '1 s'"
        )
        wait(lambda: bool(scalar(bench.engine, alive)))
        yield
    finally:
        if process.pid:
            os.kill(process.pid, signal.SIGTERM)
        process.join(30)


def scalar(engine: Engine, statement: str) -> Any:
    """The only value of a query."""
    with engine.connect() as connection:
        return connection.exec_driver_sql(statement).scalar()


def wait(predicate: Callable[[], object], seconds: float = 30.0) -> None:
    """Until `predicate`; TimeoutError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not reached within {seconds} s")
        time.sleep(0.02)
