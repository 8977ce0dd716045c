"""A service's drain: up to date before the client is answered, and never the client's problem."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import psutil
import pytest
from sqlalchemy import create_engine

from migration.capture import install
from migration.drain import ServiceDrain, drain_auth_db, drain_user_db
from migration.raw_file import RawFile
from migration.session import Session
from migration.sides import USER
from tests.integration.migration_protocol.support import Legacy, accounts_of, query
from tests.support.waiting import wait_until

BOUND_SECONDS = 1.5  # ServiceDrain.WAIT_SECONDS, and a slow machine


@pytest.fixture
def running(session: Session, legacy: Legacy) -> Session:
    install(session.file)
    legacy.run("UPDATE users SET name = name")
    return session


@pytest.fixture
def away(running: Session) -> Iterator[ServiceDrain]:
    """A drain to a server that nobody runs."""
    engine = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none")
    yield ServiceDrain(RawFile(running.file.path), USER, engine)
    engine.dispose()


def test_a_write_is_in_the_service_s_own_database_when_the_drain_returns(
    running: Session, legacy: Legacy
) -> None:
    patient = ServiceDrain(RawFile(running.file.path), USER, running.user, wait_seconds=30)
    for number in range(3):
        legacy.run("UPDATE users SET name = ? WHERE id = 1", str(number))
        patient()
        assert query(running.user, "SELECT name FROM users WHERE id = 1") == [(str(number),)]
    assert query(running.auth, "SELECT count(*) FROM user_credentials") == [(0,)]


def test_the_two_services_drain_their_own_halves(running: Session, legacy: Legacy) -> None:
    drain_user_db(running.file.path, running.user)()
    drain_auth_db(running.file.path, running.auth)()
    wait_until(lambda: query(running.auth, "SELECT count(*) FROM user_credentials") == [(3,)])
    wait_until(lambda: query(running.user, "SELECT count(*) FROM users") == [(3,)])
    assert accounts_of(running.user, running.auth) == legacy.accounts()


def test_many_requests_at_once_share_the_work_and_each_finds_its_own_write(
    running: Session, legacy: Legacy
) -> None:
    drain = ServiceDrain(RawFile(running.file.path), USER, running.user, wait_seconds=30)
    found: list[bool] = []
    guard = threading.Lock()

    def request(number: int) -> None:
        with guard:
            key = legacy.add(f"user{number}")
        drain()
        found.append(query(running.user, "SELECT 1 FROM users WHERE id = %s", key) == [(1,)])

    requests = [threading.Thread(target=request, args=(number,)) for number in range(16)]
    for thread in requests:
        thread.start()
    for thread in requests:
        thread.join(60)
    assert found == [True] * 16


def test_a_server_that_is_away_costs_no_error_and_soon_no_time(away: ServiceDrain) -> None:
    began = time.monotonic()
    away()
    assert time.monotonic() - began < BOUND_SECONDS
    began = time.monotonic()
    for _ in range(20):
        away()
    assert time.monotonic() - began < 0.4


def test_a_server_that_stands_still_costs_a_bounded_time_and_what_was_missed_follows(
    running: Session, legacy: Legacy
) -> None:
    drain = ServiceDrain(RawFile(running.file.path), USER, running.user)
    drain()
    wait_until(lambda: query(running.user, "SELECT count(*) FROM users") == [(3,)])
    with running.user.connect() as connection:  # the pool's connection, which the drain's next run uses
        backend = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    os.kill(backend, signal.SIGSTOP)
    try:
        legacy.run("UPDATE users SET name = 'n' WHERE id = 1")
        began = time.monotonic()
        drain()
        assert time.monotonic() - began < BOUND_SECONDS
        assert psutil.Process(backend).status() == psutil.STATUS_STOPPED
    finally:
        os.kill(backend, signal.SIGCONT)
    wait_until(lambda: query(running.user, "SELECT name FROM users WHERE id = 1") == [("n",)])


def test_a_drain_after_an_outage_brings_what_was_missed(
    running: Session, legacy: Legacy, away: ServiceDrain
) -> None:
    legacy.add("dan")
    away()
    drain_user_db(running.file.path, running.user)()
    wait_until(lambda: query(running.user, "SELECT count(*) FROM users") == [(4,)])


def test_a_file_whose_capture_is_not_whole_costs_the_client_nothing(running: Session, legacy: Legacy) -> None:
    drain = ServiceDrain(RawFile(running.file.path), USER, running.user, wait_seconds=30)
    legacy.run("DROP TRIGGER migration_capture_users_insert")
    drain()
    assert query(running.user, "SELECT count(*) FROM users") == [(0,)]
