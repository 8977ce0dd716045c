"""A drain takes its locks while the write is being committed in the file, and holds up nobody when that fails."""

from collections.abc import Iterator

import pytest

from devstack.postgres import Postgres
from migration.catch_up import Reached, catch_up
from migration.drain import ServiceDrain
from migration.ranges import RANGE_LOCK
from migration.raw_file import RawFile
from migration.session import Session
from migration.sides import USER
from tests.integration.migration_protocol.support import BOTH_MODES, Legacy, accounts_of, query
from tests.support.waiting import wait_until

NAME_OF_ANN = "SELECT name FROM users WHERE id = 1"


@pytest.fixture
def wait_seconds() -> float:
    """How long a drain waits with its locks for a commit: long enough to be seen on a busy machine."""
    return 10.0


@pytest.fixture
def drain(session: Session, legacy: Legacy, captured: RawFile, wait_seconds: float) -> ServiceDrain:
    """A drain that has worked before, on users who are in `user_db`."""
    legacy.run("UPDATE users SET name = name")
    drain = ServiceDrain(RawFile(captured.path), USER, session.user, wait_seconds=wait_seconds)
    drain()
    wait_until(lambda: query(session.user, "SELECT count(*) FROM users") == [(3,)])
    return drain


@pytest.fixture
def writing(legacy: Legacy, drain: ServiceDrain) -> Iterator[Legacy]:
    """A write that is announced and neither committed nor rolled back."""
    legacy.run("BEGIN IMMEDIATE")
    legacy.run("UPDATE users SET name = 'new' WHERE id = 1")
    drain.announce(legacy.connection)
    yield legacy
    if legacy.connection.in_transaction:
        legacy.run("ROLLBACK")


def key_is_locked(session: Session) -> bool:
    found = query(
        session.migration,
        "SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database WHERE locktype = 'advisory'"
        " AND classid = %s AND datname = %s",
        RANGE_LOCK,
        session.user.url.database,
    )
    return found != [(0,)]


@BOTH_MODES
def test_the_locks_are_there_before_the_commit_and_gone_behind_the_drain(
    session: Session, writing: Legacy, drain: ServiceDrain
) -> None:
    wait_until(lambda: key_is_locked(session))
    assert query(session.user, NAME_OF_ANN) == [("ann",)]
    writing.run("COMMIT")
    drain()
    assert query(session.user, NAME_OF_ANN) == [("new",)]
    assert not key_is_locked(session)
    assert query(session.user, "SELECT data->'changes' FROM events") == [
        ({"name": {"old": "ann", "new": "new"}},)
    ]


def test_a_write_that_is_rolled_back_leaves_no_lock_and_no_trace(
    session: Session, writing: Legacy, drain: ServiceDrain
) -> None:
    wait_until(lambda: key_is_locked(session))
    writing.run("ROLLBACK")
    drain.withdraw()
    wait_until(lambda: not key_is_locked(session))
    drain()
    assert query(session.user, NAME_OF_ANN) == [("ann",)]


@pytest.mark.parametrize("wait_seconds", [1.5])
def test_a_commit_that_does_not_come_holds_the_locks_for_a_moment_only(
    session: Session, writing: Legacy, drain: ServiceDrain
) -> None:
    wait_until(lambda: key_is_locked(session))
    wait_until(lambda: not key_is_locked(session))
    writing.run("COMMIT")
    drain()
    wait_until(lambda: query(session.user, NAME_OF_ANN) == [("new",)])


def test_a_head_start_whose_connection_was_cut_costs_nothing_but_itself(
    session: Session, writing: Legacy, drain: ServiceDrain, postgres: Postgres
) -> None:
    wait_until(lambda: key_is_locked(session))
    with postgres.administration() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON oid = database"
            " WHERE classid = %s AND datname = %s",
            (RANGE_LOCK, session.user.url.database),
        )
        assert cursor.fetchall() == [(True,)]
    writing.run("ROLLBACK")
    drain.withdraw()
    writing.run("UPDATE users SET name = 'newer' WHERE id = 1")
    drain()
    wait_until(lambda: query(session.user, NAME_OF_ANN) == [("newer",)])


def test_a_batch_with_more_keys_than_were_announced_is_applied_whole(
    session: Session, writing: Legacy, drain: ServiceDrain
) -> None:
    wait_until(lambda: key_is_locked(session))
    writing.run("UPDATE users SET name = 'too' WHERE id = 2")
    writing.run("COMMIT")
    drain()
    assert query(session.user, "SELECT name FROM users ORDER BY id") == [("new",), ("too",), ("cat",)]
    assert not key_is_locked(session)


def test_another_applier_waits_for_the_locks_and_then_finds_the_work_done(
    session: Session, writing: Legacy, drain: ServiceDrain, captured: RawFile
) -> None:
    wait_until(lambda: key_is_locked(session))
    writing.run("COMMIT")
    assert catch_up(captured, {USER: session.user}, {USER.name: 0}, lock_ms=20).reached is Reached.BUSY
    drain()
    catch_up(captured, session.targets)
    assert accounts_of(session.user, session.auth) == writing.accounts()
    assert query(session.user, "SELECT count(*) FROM events") == [(1,)]


def test_a_write_of_many_rows_is_not_waited_for_with_locks(
    session: Session, legacy: Legacy, drain: ServiceDrain
) -> None:
    legacy.run("BEGIN IMMEDIATE")
    for number in range(20):
        legacy.add(f"user{number}")
    drain.announce(legacy.connection)
    legacy.run("COMMIT")
    assert not key_is_locked(session)
    drain()
    assert query(session.user, "SELECT count(*) FROM users") == [(23,)]
