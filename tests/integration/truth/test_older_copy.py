"""What lies in the legacy file's place may be an older copy, another file, or nothing: acknowledged writes stay."""

import logging
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from service_kit.errors import Unavailable
from service_kit.truth.legacy_file import LegacyFile
from service_kit.truth.phase import fence, follow, read_phase
from service_kit.truth.router import Truth
from service_kit.truth.watch import MAX_AGE_SECONDS, WAIT_SECONDS, PhaseWatch
from tests.integration.truth.support import read_side, set_state, write_name


@pytest.fixture
def older(file: LegacyFile, tmp_path: Path) -> Path:
    """A copy of the file as it was at epoch 0, verified."""
    set_state(file, 0, "verified")
    return Path(shutil.copy(file.path, tmp_path / "older.db"))


def bind(engine: Engine, file_id: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE migration_phase SET file_id = %s", (file_id,))


def name_in(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        name: str = connection.execute("SELECT name FROM users WHERE id = 1").fetchone()[0]
    return name


def test_a_service_that_starts_on_an_older_copy_goes_on_in_postgresql(
    file: LegacyFile, older: Path, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    set_state(file, 1)
    assert write_name(Truth(file, engine), "acknowledged") == "database"
    with caplog.at_level(logging.ERROR):
        truth = Truth(LegacyFile(older), engine)
        assert (read_side(truth), write_name(truth, "later")) == ("database", "database")
    assert name_in(older) == "file"
    assert "at epoch 0, the database at 1: an older copy" in caplog.text
    assert "PostgreSQL is the truth and goes on" in caplog.text


def test_a_service_that_slept_through_the_cutover_does_not_take_the_older_copy_either(
    file: LegacyFile, older: Path, engine: Engine
) -> None:
    """It has used the file last, and what it knows of its phase row is older than the cutover."""
    truth = Truth(LegacyFile(older), engine)
    assert read_side(truth) == "file"
    follow(engine, 1)
    time.sleep(MAX_AGE_SECONDS)  # the age up to which a look counts: time itself is the condition here
    assert write_name(truth, "n") == "database"
    assert name_in(older) == "file"


def test_an_older_copy_of_an_odd_epoch_is_read_and_written_past(file: LegacyFile, engine: Engine) -> None:
    """A rollback was undone since: the copy names PostgreSQL, but an epoch that is over."""
    set_state(file, 1)
    follow(engine, 3)
    truth = Truth(file, engine)
    assert (read_side(truth), write_name(truth, "n"), read_side(truth)) == ("database",) * 3


@pytest.mark.parametrize("back", [False, True], ids=["a rollback has fenced", "rolled back since"])
def test_an_older_copy_is_refused_at_once_while_postgresql_cannot_stand_in(
    file: LegacyFile, older: Path, engine: Engine, back: bool
) -> None:
    follow(engine, 2 if back else 1)
    if not back:
        fence(engine, 1)
    truth = Truth(LegacyFile(older), engine, undo_after=30)
    began = time.monotonic()
    for attempt in (read_side, lambda truth: write_name(truth, "n")):
        with pytest.raises(Unavailable):
            attempt(truth)
    assert time.monotonic() - began < 5
    assert name_in(older) == "file"
    assert not LegacyFile(older).state().epoch


def test_the_file_that_is_put_back_is_used_again(file: LegacyFile, older: Path, engine: Engine) -> None:
    set_state(file, 2, "dual_write")
    follow(engine, 2)
    truth = Truth(LegacyFile(older), engine)
    with pytest.raises(Unavailable):
        write_name(truth, "n")
    file.path.replace(older)
    assert write_name(truth, "n") == "file"


def test_another_migrations_file_moves_no_database(file: LegacyFile, engine: Engine) -> None:
    follow(engine, 1)
    bind(engine, "mine")
    set_state(file, 5)
    assert write_name(Truth(file, engine), "n") == "database"
    with engine.connect() as connection:
        assert read_phase(connection).epoch == 1


def test_another_file_that_calls_itself_the_truth_is_not_written_to_after_the_cutover(
    file: LegacyFile, engine: Engine
) -> None:
    follow(engine, 1)
    bind(engine, "mine")
    set_state(file, 4, "dual_write")
    assert write_name(Truth(file, engine), "n") == "database"
    assert name_in(file.path) == "file"


@pytest.mark.parametrize(
    "content", [None, b"", b"not a database " * 100], ids=["missing", "empty", "garbage"]
)
def test_after_the_cutover_a_service_starts_without_a_usable_file(
    file: LegacyFile, engine: Engine, tmp_path: Path, content: bytes | None
) -> None:
    follow(engine, 1)
    place = tmp_path / "place.db"
    if content is not None:
        place.write_bytes(content)
    truth = Truth(LegacyFile(place), engine)
    assert (read_side(truth), write_name(truth, "n")) == ("database", "database")
    assert place.exists() is (content is not None)


def test_before_the_cutover_a_missing_file_is_unavailable_and_is_not_created(
    tmp_path: Path, engine: Engine
) -> None:
    missing = LegacyFile(tmp_path / "nowhere.db")
    for attempt in (read_side, lambda truth: write_name(truth, "n")):
        with pytest.raises(Unavailable):
            attempt(Truth(missing, engine))
    assert not missing.path.exists()


def test_a_database_that_is_away_does_not_keep_a_service_from_the_file(file: LegacyFile) -> None:
    away = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none")
    assert write_name(Truth(file, away), "kept") == "file"
    assert name_in(file.path) == "kept"


def test_a_database_that_hangs_holds_up_one_request_for_a_moment(
    engine: Engine, user_database_url: str
) -> None:
    with engine.begin() as holder:
        holder.exec_driver_sql("LOCK TABLE migration_phase IN ACCESS EXCLUSIVE MODE")
        hanging = create_engine(user_database_url)
        watch = PhaseWatch(hanging)
        began = time.monotonic()
        assert watch.newest() is None
        first = time.monotonic() - began
        assert watch.newest() is None
        second = time.monotonic() - began - first
    assert WAIT_SECONDS <= first < WAIT_SECONDS + 2
    assert second < WAIT_SECONDS
    assert _eventually(watch) == 0
    hanging.dispose()


def _eventually(watch: PhaseWatch) -> int | None:
    deadline = time.monotonic() + 10
    row = watch.newest()
    while row is None and time.monotonic() < deadline:
        time.sleep(0.05)
        row = watch.newest()
    return row.epoch if row else None
