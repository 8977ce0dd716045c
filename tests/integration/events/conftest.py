"""A fresh event store for each test."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from devstack.postgres import Postgres
from service_kit.db import engine_for
from tests.support.events import make_database


@pytest.fixture
def store_url(postgres: Postgres) -> Iterator[str]:
    """Address of a fresh database with the event tables."""
    postgres.start()
    url = make_database(postgres)
    yield url
    postgres.drop_database(url.rpartition("/")[2])


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    """An engine on a fresh database with the event tables."""
    engine = engine_for(store_url, name="tests", pool_size=20)
    yield engine
    engine.dispose()
