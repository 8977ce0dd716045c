"""The services' side of the protocol on a real file and a real PostgreSQL."""

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from service_kit.errors import Unavailable
from service_kit.truth.legacy_file import LegacyFile
from service_kit.truth.phase import PHASE_LOCK, PhaseRow, fence, follow, read_phase
from service_kit.truth.router import Truth
from service_kit.truth.schema import WRONG_PHASE
from tests.integration.truth.support import read_side, set_state, write_name


class Told:
    """A drain that does nothing but remember what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def announce(self, connection: sqlite3.Connection) -> None:
        self.told.append("announced" if connection.in_transaction else "announced too late")

    def __call__(self) -> None:
        self.told.append("committed")

    def withdraw(self) -> None:
        self.told.append("withdrawn")


def twice(connection: sqlite3.Connection) -> None:
    """Breaks the unique email."""
    connection.execute("INSERT INTO users (email, password) VALUES ('bob@example.com', 'x')")
    connection.execute("INSERT INTO users (email, password) VALUES ('ann@example.com', 'x')")


def phase_row(engine: Engine) -> PhaseRow:
    with engine.connect() as connection:
        return read_phase(connection)


def in_thread(work: Callable[[], str]) -> tuple[threading.Thread, list[str]]:
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()
    return thread, answers


def test_a_file_that_was_never_migrated_is_the_truth(file: LegacyFile, engine: Engine) -> None:
    truth = Truth(file, engine)
    assert (write_name(truth, "new"), read_side(truth)) == ("file", "file")
    assert phase_row(engine).epoch == 0


def test_whoever_meets_the_fence_completes_the_flip(file: LegacyFile, engine: Engine) -> None:
    truth = Truth(file, engine)
    assert write_name(truth, "before") == "file"
    set_state(file, 1)
    assert write_name(truth, "after") == "database"
    assert (phase_row(engine).epoch, phase_row(engine).fenced) == (1, False)


def test_a_read_that_sees_the_fence_follows_and_answers_from_the_database(
    file: LegacyFile, engine: Engine
) -> None:
    set_state(file, 1)
    assert read_side(Truth(file, engine)) == "database"
    assert phase_row(engine).epoch == 1


def test_a_process_that_last_used_postgresql_finds_back_to_the_file(file: LegacyFile, engine: Engine) -> None:
    set_state(file, 1)
    truth = Truth(file, engine)
    assert write_name(truth, "pg") == "database"
    set_state(file, 2, "dual_write")
    follow(engine, 2)
    assert (write_name(truth, "file again"), read_side(truth)) == ("file", "file")


def test_a_write_waits_while_a_rollback_has_fenced_and_goes_to_the_file_after_it(
    file: LegacyFile, engine: Engine
) -> None:
    set_state(file, 1)
    truth = Truth(file, engine)
    write_name(truth, "pg")
    fence(engine, 1)
    thread, answers = in_thread(lambda: write_name(truth, "held"))
    time.sleep(0.2)
    assert answers == []
    set_state(file, 2, "dual_write")
    thread.join(5)
    assert answers == ["file"]


def test_an_abandoned_rollback_is_undone_under_a_newer_epoch(file: LegacyFile, engine: Engine) -> None:
    set_state(file, 1)
    truth = Truth(file, engine, undo_after=0.2)
    write_name(truth, "pg")
    fence(engine, 1)
    assert write_name(truth, "after the undo") == "database"
    assert file.state().epoch == 3
    assert (phase_row(engine).epoch, phase_row(engine).fenced) == (3, False)


def test_reads_are_answered_by_a_fenced_database_while_the_file_still_names_it(
    file: LegacyFile, engine: Engine
) -> None:
    set_state(file, 1)
    truth = Truth(file, engine)
    write_name(truth, "pg")
    fence(engine, 1)
    assert read_side(truth) == "database"


def test_a_phase_row_never_moves_back(engine: Engine) -> None:
    follow(engine, 3)
    assert follow(engine, 1).epoch == 3
    assert not fence(engine, 1).fenced
    assert fence(engine, 3).fenced
    assert follow(engine, 3).fenced
    assert not follow(engine, 4).fenced


def test_the_fence_waits_for_a_write_that_saw_the_open_row(engine: Engine) -> None:
    follow(engine, 1)
    entered, leave = threading.Event(), threading.Event()

    def slow(connection: Connection) -> str:
        connection.execute(text("INSERT INTO users (id, email) VALUES (7, 'slow@example.com')"))
        entered.set()
        assert leave.wait(10)
        return "written"

    writer, answers = in_thread(lambda: Truth(None, engine).write(lambda _: "", slow))
    assert entered.wait(10)
    fencing, fenced = in_thread(lambda: str(fence(engine, 1).fenced))
    time.sleep(0.2)
    assert fenced == []
    leave.set()
    writer.join(10)
    fencing.join(10)
    assert (answers, fenced) == (["written"], ["True"])


def test_a_writer_that_queued_behind_the_fence_sees_it(engine: Engine) -> None:
    """The lock and the look at the row are two statements: the second one's snapshot is younger than the lock."""
    follow(engine, 1)
    with engine.begin() as coordinator:
        coordinator.exec_driver_sql(f"SELECT pg_advisory_xact_lock({PHASE_LOCK})")
        coordinator.exec_driver_sql("UPDATE migration_phase SET fenced = true WHERE id = 1")
        thread, answers = in_thread(lambda: _outcome(Truth(None, engine, undo_after=0.2)))
        time.sleep(0.2)
        assert answers == []
    thread.join(10)
    assert answers == ["unavailable"]


def _outcome(truth: Truth) -> str:
    try:
        return write_name(truth, "late")
    except Unavailable:
        return "unavailable"


def test_without_a_file_a_fresh_database_is_adopted(engine: Engine) -> None:
    truth = Truth(None, engine)
    assert (write_name(truth, "pg"), read_side(truth)) == ("database", "database")
    assert phase_row(engine).epoch == 1


def test_without_a_file_a_database_that_a_file_has_a_claim_on_is_refused(engine: Engine) -> None:
    follow(engine, 2)
    truth = Truth(None, engine, undo_after=0.1)
    with pytest.raises(Unavailable, match="LEGACY_SQLITE_PATH"):
        write_name(truth, "pg")
    with pytest.raises(Unavailable):
        read_side(truth)


def test_a_writer_that_knows_no_phases_is_refused_by_the_database_itself(engine: Engine) -> None:
    with pytest.raises(DBAPIError) as refused, engine.begin() as connection:
        connection.execute(text("INSERT INTO users (email) VALUES ('psql@example.com')"))
    assert getattr(refused.value.orig, "pgcode", None) == WRONG_PHASE


def test_writes_are_logged_for_the_way_back_only_while_capture_is_on(engine: Engine) -> None:
    truth = Truth(None, engine)
    write_name(truth, "not logged")
    with engine.begin() as connection:
        connection.execute(text("UPDATE migration_phase SET capture = true"))
    write_name(truth, "logged")
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL migration.applying = 'on'"))
        connection.execute(text("UPDATE users SET name = 'applied'"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT key FROM migration_reverse_log")).scalars().all() == [1]


def test_a_broken_unique_email_in_the_file_is_told_and_nothing_is_kept(
    file: LegacyFile, engine: Engine
) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        Truth(file, engine).write(twice, lambda _: None)
    assert file.connection().execute("SELECT count(*) FROM users").fetchone() == (1,)


def test_a_drain_that_fails_costs_the_client_nothing(file: LegacyFile, engine: Engine) -> None:
    class Broken(Told):
        def __call__(self) -> None:
            raise ConnectionError("PostgreSQL is away")

    assert write_name(Truth(file, engine, Broken()), "kept") == "file"
    assert file.connection().execute("SELECT name FROM users").fetchone() == ("kept",)


def test_a_drain_is_told_before_the_commit_and_behind_it_or_that_there_was_none(
    file: LegacyFile, engine: Engine
) -> None:
    drain = Told()
    truth = Truth(file, engine, drain)
    write_name(truth, "n")
    assert drain.told == ["announced", "committed"]
    with pytest.raises(sqlite3.IntegrityError):
        truth.write(twice, lambda _: None)
    assert drain.told == ["announced", "committed", "withdrawn"]


def test_a_file_that_stays_locked_is_unavailable_and_not_a_crash(file: LegacyFile, engine: Engine) -> None:
    holder = file.open()
    holder.execute("BEGIN IMMEDIATE")
    impatient = LegacyFile(file.path, busy_timeout=0.1)
    with pytest.raises(Unavailable):
        write_name(Truth(impatient, engine), "locked out")
    holder.execute("ROLLBACK")
    holder.close()


def test_a_missing_file_is_unavailable_and_is_not_created(tmp_path: Path, engine: Engine) -> None:
    missing = LegacyFile(tmp_path / "nowhere.db")
    with pytest.raises(Unavailable):
        read_side(Truth(missing, engine))
    assert not missing.path.exists()


def test_invalid_utf8_reads_as_the_legacy_server_read_it(file: LegacyFile) -> None:
    connection = file.connection()
    connection.execute("UPDATE users SET name = CAST(x'41ff42' AS TEXT)")
    assert connection.execute("SELECT name FROM users").fetchone() == ("A\ufffdB",)


def test_an_outage_of_postgresql_is_unavailable(file: LegacyFile) -> None:
    engine = create_engine(
        "postgresql+psycopg2://nobody@127.0.0.1:1/none", connect_args={"connect_timeout": 1}
    )
    set_state(file, 1)
    with pytest.raises(Unavailable):
        write_name(Truth(file, engine), "no server")
