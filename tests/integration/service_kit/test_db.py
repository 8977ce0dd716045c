"""Engines of the services: bounded sessions, outages as Unavailable, and no parameter in an error."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DataError, DBAPIError

from devstack.postgres import Postgres
from service_kit.db import broken_constraint, engine_for, transaction
from service_kit.errors import Unavailable


@pytest.fixture
def engine(user_database_url: str) -> Iterator[Engine]:
    """A small engine with short limits."""
    engine = engine_for(user_database_url, name="tests", pool_size=2, statement_seconds=0.3, lock_seconds=0.2)
    yield engine
    engine.dispose()


@pytest.fixture
def running_again(postgres: Postgres) -> Iterator[Postgres]:
    """The PostgreSQL server for a test that stops it."""
    yield postgres
    postgres.start()


def test_sessions_are_in_utc_and_bounded(engine: Engine) -> None:
    with transaction(engine) as connection:
        assert connection.exec_driver_sql("SHOW timezone").scalar_one() == "UTC"
        assert connection.exec_driver_sql("SHOW application_name").scalar_one() == "tests"
    with pytest.raises(Unavailable), transaction(engine) as connection:
        connection.exec_driver_sql("SELECT pg_sleep(5)")


def test_a_lock_that_is_held_too_long_is_unavailable(engine: Engine) -> None:
    with transaction(engine) as holder:
        holder.exec_driver_sql("SELECT pg_advisory_xact_lock(7)")
        with pytest.raises(Unavailable), transaction(engine) as connection:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7)")


def test_no_free_connection_is_unavailable(engine: Engine) -> None:
    with transaction(engine), transaction(engine), pytest.raises(Unavailable), transaction(engine):
        pass


def test_a_server_that_was_restarted_is_used_again_at_the_first_try(
    engine: Engine, running_again: Postgres
) -> None:
    with transaction(engine) as connection:
        connection.exec_driver_sql("SELECT 1")
    running_again.stop()
    with pytest.raises(Unavailable), transaction(engine):
        pass
    running_again.start()
    for _ in range(3):
        with transaction(engine) as connection:
            assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1


def test_a_connection_that_is_ended_in_use_is_unavailable_and_the_next_one_works(engine: Engine) -> None:
    with pytest.raises(Unavailable), transaction(engine) as connection:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with transaction(engine) as other:
            other.exec_driver_sql("SELECT pg_terminate_backend(%s, 1000)", (pid,))
        connection.exec_driver_sql("SELECT 1")
    with transaction(engine) as connection:
        connection.exec_driver_sql("SELECT 1")


def test_a_mistake_is_no_outage_and_shows_no_parameter(engine: Engine) -> None:
    with pytest.raises(DataError) as mistake, transaction(engine) as connection:
        connection.exec_driver_sql("SELECT %(a)s, 1 / 0", {"a": "secret-value"})
    assert "secret-value" not in str(mistake.value)


def test_a_broken_constraint_has_its_name(engine: Engine) -> None:
    insert = "INSERT INTO user_activity (user_id, event_id, type, occurred_at, data) VALUES"
    row = " (1, '00000000-0000-7000-8000-000000000000', 'x', now(), '{}')"
    with pytest.raises(DBAPIError) as broken, transaction(engine) as connection:
        connection.exec_driver_sql(f"{insert}{row},{row}")
    assert broken_constraint(broken.value) == "user_activity_event_id_key"
    with pytest.raises(DBAPIError) as other, transaction(engine) as connection:
        connection.exec_driver_sql("SELECT 1 / 0")
    assert broken_constraint(other.value) is None


def test_the_pool_serves_more_threads_than_it_has_connections(engine: Engine) -> None:
    done: list[int] = []

    def work() -> None:
        with transaction(engine) as connection:
            done.append(connection.exec_driver_sql("SELECT 1 FROM pg_sleep(0.05)").scalar_one())

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [1] * 10
