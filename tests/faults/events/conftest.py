"""An event store under load, and the real process that serves it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from devstack.postgres import Postgres
from service_kit.db import engine_for
from tests.faults.events.load import Worker
from tests.support.events import make_database


@pytest.fixture
def engine(postgres: Postgres) -> Iterator[Engine]:
    """A fresh database with the event tables."""
    postgres.start()
    engine = engine_for(make_database(postgres), name="tests", pool_size=20)
    yield engine
    engine.dispose()
    postgres.start()
    postgres.drop_database(str(engine.url.database))


@pytest.fixture
def start_worker(engine: Engine, redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts events processes (`Worker`); they are ended with the test."""
    made: list[Worker] = []

    def start(name: str = "worker", **environ: object) -> Worker:
        worker = Worker(engine, redis_url, tmp_path, name, environ)
        made.append(worker)
        worker.start()
        return worker

    yield start
    for worker in made:
        worker.kill()
