"""A PostgreSQL that is frozen (SIGSTOP), not gone: requests end in time, and go on by themselves when it does."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine

from devstack.postgres import Postgres
from service_kit.db import engine_for, transaction
from service_kit.errors import Unavailable
from tests.support.frozen import frozen
from tests.support.waiting import wait_until


@pytest.fixture
def engine(user_database_url: str) -> Iterator[Engine]:
    """A service's engine with short limits."""
    engine = engine_for(user_database_url, name="tests", pool_size=2, statement_seconds=1.5, gives_up=True)
    yield engine
    engine.dispose()


def answer(engine: Engine, statement: str = "SELECT 7") -> Any:
    with transaction(engine) as connection:
        return connection.exec_driver_sql(statement).scalar_one()


def seconds_until_unavailable(engine: Engine) -> float:
    started = time.monotonic()
    with pytest.raises(Unavailable):
        answer(engine)
    return time.monotonic() - started


def test_an_idle_connection_to_a_frozen_server_is_given_up_in_time_and_all_is_well_afterwards(
    engine: Engine, postgres: Postgres
) -> None:
    assert answer(engine) == 7
    with frozen(postgres):
        assert seconds_until_unavailable(engine) < 4
        assert seconds_until_unavailable(engine) < 3  # nothing is left to ask first
    wait_until(lambda: answer(engine) == 7, 10, "an answer")


@pytest.mark.parametrize("ends", ["statement", "commit", "rollback"])
def test_a_server_that_freezes_in_a_transaction_ends_it_in_time(
    engine: Engine, postgres: Postgres, ends: str
) -> None:
    begun, is_frozen = threading.Event(), threading.Event()
    outcome: list[Any] = []

    def work() -> None:
        started = time.monotonic()
        try:
            with transaction(engine) as connection:
                connection.exec_driver_sql("SELECT 1")
                begun.set()
                is_frozen.wait()
                started = time.monotonic()
                if ends == "statement":
                    connection.exec_driver_sql("SELECT 1")
                if ends == "rollback":
                    raise KeyError
        except (Unavailable, KeyError) as error:
            outcome.extend([type(error), time.monotonic() - started])

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(10)
    with frozen(postgres):
        is_frozen.set()
        thread.join(10)
        assert not thread.is_alive()
    assert outcome[0] in ((Unavailable, KeyError) if ends == "rollback" else (Unavailable,))
    assert outcome[1] < 4
    assert answer(engine) == 7


def test_a_statement_within_its_limit_is_left_alone_and_one_beyond_it_is_ended_by_the_server(
    engine: Engine,
) -> None:
    backend = answer(engine, "SELECT pg_backend_pid()")
    assert answer(engine, "SELECT 7 FROM pg_sleep(1.2)") == 7
    with pytest.raises(Unavailable):
        answer(engine, "SELECT 7 FROM pg_sleep(20)")
    assert answer(engine, "SELECT pg_backend_pid()") == backend  # the connection was not given up


def test_connections_given_up_leave_no_open_files(engine: Engine, postgres: Postgres) -> None:
    assert answer(engine) == 7
    before = psutil.Process().num_fds()
    for _ in range(2):
        with frozen(postgres):
            seconds_until_unavailable(engine)
        assert answer(engine) == 7
    assert psutil.Process().num_fds() <= before + 1
