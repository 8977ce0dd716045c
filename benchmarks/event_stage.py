"""Servers for the benchmark of events: PostgreSQL with fsync, Redis, a database with users and event tables."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import psycopg2.extensions
from sqlalchemy import Connection, Engine, create_engine, text

from devstack.postgres import Postgres
from devstack.redis import Redis
from service_kit.events import schema

USERS = 10_000

_TABLES = f"""
CREATE TABLE users (id BIGINT PRIMARY KEY, email TEXT NOT NULL, name TEXT, updated_at TIMESTAMPTZ);
INSERT INTO users SELECT n, 'user' || n || '@example.com', 'name', now() FROM generate_series(1, {USERS}) AS n;
CREATE TABLE effects (position BIGINT, user_id BIGINT, at TIMESTAMPTZ DEFAULT clock_timestamp());
"""


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
