"""The bulk copy brings every row, exactly, once, whatever happens to it."""

import itertools
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from migration import copy, copy_chunk, indexes, passes, verify
from migration import plan as plans
from migration.answer import Refused
from migration.catch_up import catch_up
from migration.copy_chunk import Superseded
from migration.plan import Chunk, Plan
from migration.session import Session, open_session
from migration.sides import AUTH, USER
from migration.snapshot import folder
from migration.source import rows_of
from migration.throttle import Throttle
from service_kit.settings import load
from service_kit.truth.legacy_file import COPIED, transaction
from service_kit.truth.phase import follow
from tests.integration.migration_copy.support import (
    InlineQueue,
    accounts,
    copy_all,
    plain_accounts,
    query,
    verify_all,
    work_off,
)

WHOLE = (1, 300)


@pytest.fixture
def shared(session: Session, environ: dict[str, str], tmp_path: Path) -> Iterator[Session]:
    """A session whose plans read a snapshot in a folder that other machines may mount."""
    session.file.close()
    with open_session(
        load("worker", environ | {"MIGRATION_SNAPSHOT_DIR": str(tmp_path / "shared")})
    ) as shared:
        yield shared


@pytest.fixture(params=["live", "snapshot"])
def either(request: pytest.FixtureRequest, session: Session) -> Session:
    """Both ways to read."""
    return session if request.param == "live" else request.getfixturevalue("shared")


def _begin(session: Session) -> Plan:
    plan = copy.begin(session)
    assert plan is not None
    return plan


@contextmanager
def _chunk(session: Session, plan: Plan, chunk: Chunk | None = None) -> Iterator[copy_chunk.ChunkText]:
    """A chunk (default: the whole table) as a task has it in its hands."""
    with (
        rows_of(session, plan) as source,
        copy_chunk.read(source, plan, chunk or Chunk(plan.id, 1, *WHOLE)) as text,
    ):
        yield text


def _write_both(session: Session, plan: Plan, text: copy_chunk.ChunkText, number: int = 1) -> None:
    chunk = Chunk(plan.id, number, *WHOLE)
    copy_chunk.write(session.user, USER, plan, chunk, text)
    copy_chunk.write(session.auth, AUTH, plan, chunk, text)


def test_every_row_is_copied_in_chunks_and_the_phase_becomes_copied(
    session: Session, legacy: sqlite3.Connection
) -> None:
    plan = copy_all(session)
    assert accounts(session) == plain_accounts(legacy)
    assert session.file.state().phase == COPIED
    assert plan.state == plans.DONE
    chunks = query(session.migration, "SELECT first_key, last_key, state FROM chunks ORDER BY chunk")
    assert len(chunks) > 5
    assert chunks[0][0] == 1
    assert chunks[-1][1] == 300
    assert all(one[1] + 1 == two[0] for one, two in itertools.pairwise(chunks))
    assert {state for _, _, state in chunks} == {"done"}
    for engine in (session.user, session.auth):
        assert query(engine, "SELECT sum(rows), sum(rejected) FROM migration_chunks") == [(300, 0)]


def test_a_copied_row_makes_no_event_and_no_version(session: Session) -> None:
    copy_all(session)
    for engine in (session.user, session.auth):
        assert query(engine, "SELECT count(*) FROM events") == [(0,)]
        assert query(engine, "SELECT count(*) FROM migration_versions") == [(0,)]


def test_what_changed_after_a_chunk_was_read_is_not_overwritten_nor_brought_back(
    session: Session, legacy: sqlite3.Connection
) -> None:
    plan = _begin(session)
    with _chunk(session, plan) as text:
        legacy.execute("DELETE FROM users WHERE id = 7")
        legacy.execute("UPDATE users SET name = 'new' WHERE id = 8")
        legacy.execute("UPDATE users SET id = 900 WHERE id = 9")
        legacy.execute(
            "INSERT OR REPLACE INTO users (id, email, password) VALUES (10, 'user11@example.com', 'h')"
        )
        catch_up(session.file, session.targets)
        legacy.execute("UPDATE users SET name = 'later' WHERE id = 12")  # in the log, not applied
        _write_both(session, plan, text)
    catch_up(session.file, session.targets)
    assert accounts(session) == plain_accounts(legacy)


def test_a_chunk_that_comes_twice_changes_nothing(session: Session, legacy: sqlite3.Connection) -> None:
    plan = _begin(session)
    with _chunk(session, plan) as text:
        _write_both(session, plan, text)
        legacy.execute("DELETE FROM users WHERE id = 5")
        legacy.execute("UPDATE users SET email = 'x@example.com' WHERE id = 6")
        catch_up(session.file, session.targets)
        _write_both(session, plan, text)
        _write_both(session, plan, text, number=2)  # not even under another number
    assert accounts(session) == plain_accounts(legacy)


def test_a_chunk_that_died_between_the_databases_is_completed(
    session: Session, legacy: sqlite3.Connection
) -> None:
    plan = _begin(session)
    queue, throttle = InlineQueue(), Throttle(session, None)
    passes.advance(session, queue, throttle, plan.id)  # type: ignore[arg-type]
    held = plans.lease(session.migration, plan.id, 1, "a worker that dies", 0.0)
    assert held is not None
    with _chunk(session, plan, held.chunk) as text:
        copy_chunk.write(session.user, USER, plan, held.chunk, text)
    query(session.migration, "UPDATE chunks SET queued_at = queued_at - interval '1 hour'")
    work_off(session, plan)
    assert copy.finish(session, plan)
    assert accounts(session) == plain_accounts(legacy)


def test_only_the_newest_holder_of_a_chunk_may_finish_it(session: Session) -> None:
    plan = _begin(session)
    passes.advance(session, InlineQueue(), Throttle(session, None), plan.id)  # type: ignore[arg-type]
    first = plans.lease(session.migration, plan.id, 1, "slow", 3600.0)
    assert first is not None
    assert plans.lease(session.migration, plan.id, 1, "other", 3600.0) is None
    query(session.migration, "UPDATE chunks SET leased_until = now() - interval '1 second' WHERE chunk = 1")
    second = plans.lease(session.migration, plan.id, 1, "other", 3600.0)
    assert second is not None
    assert second.token == first.token + 1
    with session.migration.begin() as connection:
        assert not plans.finish(connection, first, 1.0, 1, 0)
        assert plans.finish(connection, second, 1.0, 1, 0)
    assert plans.lease(session.migration, plan.id, 1, "late", 3600.0) is None


def test_a_plan_of_a_former_epoch_writes_nothing_and_becomes_void(session: Session) -> None:
    plan = _begin(session)
    for engine in session.targets.values():
        follow(engine, 2)
    throttle = Throttle(session, None)
    passes.advance(session, InlineQueue(), throttle, plan.id)  # type: ignore[arg-type]
    outcome = passes.run_chunk(session, throttle, plan.id, 1, lambda held: copy.run(session, held))
    assert outcome == "void"
    assert accounts(session) == {}
    with _chunk(session, plan) as text, pytest.raises(Superseded):
        _write_both(session, plan, text)


def test_a_database_that_lost_its_chunks_gets_them_again(
    session: Session, legacy: sqlite3.Connection
) -> None:
    plan = _begin(session)
    work_off(session, plan)
    for statement in ("DELETE FROM user_credentials", "DELETE FROM migration_chunks"):
        query(session.auth, statement)
    assert not copy.finish(session, plan)
    work_off(session, plan)
    assert copy.finish(session, plan)
    assert accounts(session) == plain_accounts(legacy)


def test_a_killed_command_goes_on_with_its_plan(session: Session, legacy: sqlite3.Connection) -> None:
    plan = _begin(session)
    queue, throttle = InlineQueue(), Throttle(session, None)
    passes.advance(session, queue, throttle, plan.id)  # type: ignore[arg-type]
    passes.run_chunk(session, throttle, plan.id, 1, lambda held: copy.run(session, held))
    again = _begin(session)
    assert again.id == plan.id
    query(session.migration, "UPDATE chunks SET queued_at = queued_at - interval '1 hour'")
    work_off(session, again)
    assert copy.finish(session, again)
    assert accounts(session) == plain_accounts(legacy)


def test_a_plan_whose_snapshot_is_gone_is_replaced(shared: Session, legacy: sqlite3.Connection) -> None:
    plan = _begin(shared)
    (folder(shared.settings) / plan.snapshot).unlink()
    new = _begin(shared)
    assert new.id != plan.id
    assert plans.get(shared.migration, plan.id).state == plans.VOID
    work_off(shared, new)
    assert copy.finish(shared, new)
    assert accounts(shared) == plain_accounts(legacy)


def test_an_earlier_copy_stands_unless_a_new_one_is_asked_for(
    session: Session, legacy: sqlite3.Connection
) -> None:
    copy_all(session)
    with transaction(session.file.connection(), "BEGIN IMMEDIATE") as connection:
        connection.execute("UPDATE migration_state SET phase = 'dual_write', epoch = 2")
    assert copy.begin(session) is None
    query(session.user, "UPDATE users SET name = 'damaged' WHERE id = 3")
    plan = copy.begin(session, again=True)
    assert plan is not None
    work_off(session, plan)
    assert copy.finish(session, plan)
    assert accounts(session) == plain_accounts(legacy)


def test_a_worker_on_another_machine_needs_the_snapshot_folder_only(
    session: Session, environ: dict[str, str], legacy: sqlite3.Connection, tmp_path: Path
) -> None:
    mounted = {**environ, "MIGRATION_SNAPSHOT_DIR": str(tmp_path / "shared")}
    elsewhere = {**mounted, "LEGACY_SQLITE_PATH": "/nowhere/users.db"}
    with open_session(load("worker", mounted)) as here, open_session(load("worker", elsewhere)) as there:
        plan = _begin(here)
        work_off(there, plan)
        assert copy.finish(here, plan)
        assert accounts(session) == plain_accounts(legacy)
        query(session.user, "UPDATE users SET name = 'damaged' WHERE id = 3")
        checked = verify.begin(here)
        assert checked.snapshot
        work_off(there, checked)
        assert verify.finish(here, checked)
        assert verify.verdict(session.migration, checked).differences == 1


def test_a_worker_without_file_and_folder_gives_the_chunk_back(
    session: Session, environ: dict[str, str]
) -> None:
    plan = _begin(session)
    throttle = Throttle(session, None)
    passes.advance(session, InlineQueue(), throttle, plan.id)  # type: ignore[arg-type]
    with open_session(load("worker", {**environ, "LEGACY_SQLITE_PATH": "/nowhere/users.db"})) as there:
        run = passes.run_chunk(there, Throttle(there, None), plan.id, 1, lambda held: copy.run(there, held))
    assert run == "released"
    state, error = query(session.migration, "SELECT state, error FROM chunks WHERE chunk = 1")[0]
    assert state == "queued"
    assert "MIGRATION_SNAPSHOT_DIR" in error


def test_emails_are_unique_again_when_the_copy_ends_and_only_then(session: Session) -> None:
    plan = _begin(session)
    assert not indexes.present(session.user)
    work_off(session, plan)
    assert copy.finish(session, plan)
    assert indexes.present(session.user)
    name, deferrable = query(
        session.user,
        "SELECT conname, condeferrable FROM pg_constraint WHERE conrelid = 'users'::regclass AND contype = 'u'",
    )[0]
    assert (name, deferrable) == ("users_email_key", True)
    assert not indexes.restore(session.user)


def test_a_copy_of_no_users_is_a_copy(session: Session, legacy: sqlite3.Connection) -> None:
    legacy.execute("DELETE FROM users")
    plan = _begin(session)
    assert plan.rows == 0
    work_off(session, plan)
    assert copy.finish(session, plan)
    assert verify_all(session).clean


def test_it_is_refused_when_it_is_not_its_turn(session: Session) -> None:
    copy_all(session)
    with pytest.raises(Refused, match="not_its_turn"):
        copy.begin(session)


def test_keys_of_every_sign_and_size_are_copied(session: Session, legacy: sqlite3.Connection) -> None:
    for key in (-(2**63), -5, 0, 2**31, 2**63 - 1):
        legacy.execute(
            "INSERT INTO users (id, email, password) VALUES (?, ?, 'h')", (key, f"{key}@example.com")
        )
    copy_all(session)
    assert accounts(session) == plain_accounts(legacy)
    assert verify_all(session).clean


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_nothing_is_lost_while_others_write_in_every_statement_form(
    either: Session, legacy: sqlite3.Connection, file_path: Path, journal_mode: str
) -> None:
    session = either
    session.file.close()
    legacy.execute(f"PRAGMA journal_mode = {journal_mode}")
    stop = threading.Event()
    errors: list[str] = []
    writer = threading.Thread(target=_write_until, args=(file_path, stop, errors))
    writer.start()
    try:
        plan = _begin(session)
        work_off(session, plan)
        assert copy.finish(session, plan)
        assert verify_all(session).clean
    finally:
        stop.set()
        writer.join()
    assert errors == []
    catch_up(session.file, session.targets)
    assert accounts(session) == plain_accounts(legacy)


def _write_until(path: Path, stop: threading.Event, errors: list[str]) -> None:
    """Inserts, replaces, upserts, swaps, moves of keys, deletes, rolled back work."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    number = 0
    while not stop.is_set():
        number += 1
        key = number * 37 % 330 + 1
        forms = (
            ("INSERT INTO users (email, password) VALUES (?, 'h')", (f"new{number}@example.com",)),
            (
                "INSERT OR REPLACE INTO users (id, email, password) VALUES (?, ?, 'r')",
                (key, f"user{key + 1}@example.com"),
            ),
            ("UPDATE OR REPLACE users SET email = ? WHERE id = ?", (f"user{key + 2}@example.com", key)),
            (
                "INSERT INTO users (id, email, password) VALUES (?, ?, 'u') ON CONFLICT (id) DO UPDATE SET name = 'up'",
                (key, f"u{number}@example.com"),
            ),
            ("UPDATE OR IGNORE users SET id = ? WHERE id = ?", (1000 + number, key)),
            ("DELETE FROM users WHERE id = ?", (key,)),
        )
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(*forms[number % len(forms)])
            connection.execute("ROLLBACK" if number % 10 == 0 else "COMMIT")
        except sqlite3.Error as error:
            errors.append(str(error))
            return
        time.sleep(0.002)
    connection.close()


def test_a_writer_waits_for_the_copy_only_for_moments(
    either: Session, legacy: sqlite3.Connection, file_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    either.file.close()
    legacy.execute("PRAGMA journal_mode = delete")
    legacy.execute("BEGIN")
    legacy.executemany(
        "INSERT INTO users (email, password, name) VALUES (?, 'h', ?)",
        ((f"many{n}@example.com", "n" * 2000) for n in range(10_000)),
    )
    legacy.execute("COMMIT")
    longest, stop = [0.0], threading.Event()

    def write() -> None:
        connection = sqlite3.connect(file_path, isolation_level=None, timeout=5.0)
        while not stop.is_set():
            began = time.monotonic()
            connection.execute("UPDATE users SET name = 'w' WHERE id = 1")
            longest[0] = max(longest[0], time.monotonic() - began)
            time.sleep(
                0.003
            )  # a writer without any pause would starve SQLite's readers, not the other way round
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        plan = _begin(either)
        work_off(either, plan)
    finally:
        stop.set()
        thread.join()
    assert plan.rows == 10_300
    assert longest[0] < 1.0


def test_the_time_of_a_plan_is_what_it_took(session: Session) -> None:
    plan = copy_all(session)
    assert plan.finished_at is not None
    assert timedelta(0) < plan.finished_at - plan.created_at < timedelta(minutes=2)
    assert abs(datetime.now(UTC) - plan.finished_at) < timedelta(minutes=1)
