"""An older copy of the file is put in its place, or the file is gone: commands name it, and nothing is lost."""

import sqlite3
import time
from pathlib import Path

import pytest

from migration.drain import drain
from migration.reverse import apply_reverse
from migration.session import Session
from service_kit.truth.watch import MAX_AGE_SECONDS
from tests.integration.migration_protocol.commands import Command, codes, verified
from tests.integration.migration_protocol.moving import services_of
from tests.integration.migration_protocol.support import BOTH_MODES, Legacy, accounts_of, query

COMMANDS = (
    "dual-write",
    "dual-write --resync",
    "copy",
    "verify",
    "cutover",
    "rollback",
    "finish",
    "rejects retry",
)


def copy_of(path: Path, to: Path) -> Path:
    """As `sqlite3 users.db ".backup copy"` makes it."""
    with sqlite3.connect(path) as source, sqlite3.connect(to) as target:
        source.backup(target)
    source.close()
    target.close()
    return to


def put_in_place(session: Session, legacy: Legacy, copy: Path) -> None:
    """Nobody has the file open, and the copy takes its name."""
    session.file.close()
    legacy.connection.close()
    for suffix in ("-wal", "-shm", "-journal"):
        Path(f"{legacy.path}{suffix}").unlink(missing_ok=True)
    copy.replace(legacy.path)
    legacy.connection = sqlite3.connect(legacy.path, isolation_level=None, check_same_thread=False)


@pytest.fixture
def older(command: Command, session: Session, legacy: Legacy, tmp_path: Path) -> Path:
    """A copy from before the cutover; the cutover is done and PostgreSQL has been written to."""
    command("dual-write")
    verified(session, legacy)
    copy = copy_of(legacy.path, tmp_path / "older.db")
    assert command("cutover")["ok"]
    assert services_of(session).rename(1, "acknowledged") == "database"
    return copy


@BOTH_MODES
def test_no_write_is_lost_to_an_older_copy_and_the_way_back_works_when_the_file_returns(
    older: Path, command: Command, session: Session, legacy: Legacy, tmp_path: Path
) -> None:
    apply_reverse(session)
    current = copy_of(legacy.path, tmp_path / "current.db")
    put_in_place(session, legacy, older)
    services = services_of(session)
    assert services.rename(2, "meanwhile") == "database"
    assert services.change_password(2, "new") == "database"
    drain(session)
    assert not apply_reverse(session).active
    put_in_place(session, legacy, current)
    assert command("rollback")["ok"]
    assert legacy.accounts()[1][2] == "acknowledged"
    assert legacy.accounts()[2][1:3] == ("new", "meanwhile")
    assert accounts_of(session.user, session.auth) == legacy.accounts()


def test_every_command_names_the_older_copy_and_the_remedy(
    older: Path, command: Command, session: Session, legacy: Legacy
) -> None:
    put_in_place(session, legacy, older)
    before = legacy.run("SELECT * FROM migration_state")
    for line in COMMANDS:
        answer = command(*line.split())
        assert (line, set(codes(answer)), answer["ok"]) == (line, {"file_behind"}, False)
        assert "PostgreSQL is the truth" in answer["issues"][0]["message"]
        assert "put the newest copy of the file back" in answer["issues"][0]["remedy"]
    status = command("status")
    assert (status["ok"], status["data"]["truth"]) == (False, "postgresql")
    assert status["data"]["databases"]["user_db"]["lag_entries"] == 1
    assert "file_behind" in codes(status) and "put the newest copy" in status["next_steps"][0]
    assert "file_behind" in codes(command("doctor"))
    assert legacy.run("SELECT * FROM migration_state") == before


def test_a_copy_from_before_dual_write_is_refused_too(
    command: Command, session: Session, legacy: Legacy, tmp_path: Path
) -> None:
    copy = copy_of(legacy.path, tmp_path / "older.db")
    command("dual-write")
    verified(session, legacy)
    command("cutover")
    services_of(session).rename(1, "acknowledged")
    put_in_place(session, legacy, copy)
    assert services_of(session).rename(1, "later") == "database"
    for line in ("dual-write", "copy", "verify", "cutover", "rollback", "finish"):
        assert set(codes(command(line))) == {"other_file"}, line


def test_without_the_file_services_go_on_and_commands_say_so(
    older: Path, command: Command, session: Session, legacy: Legacy
) -> None:
    session.file.close()
    legacy.connection.close()
    for path in legacy.path.parent.glob("users.db*"):
        path.unlink()
    assert services_of(session).rename(1, "n") == "database"
    status = command("status")
    assert (status["ok"], status["data"]["truth"]) == (False, "postgresql")
    assert {"unreachable", "going_on_without_file"} <= set(codes(status))
    assert status["data"]["databases"]["user_db"]["lag_entries"] == 2
    assert {"file_missing", "going_on_without_file"} <= set(codes(command("doctor")))
    assert codes(command("rollback")) == ["file_failed"]
    assert not legacy.path.exists()


def test_an_older_copy_from_before_the_truth_moved_to_and_fro_is_taken_only_when_asked(
    older: Path, command: Command, session: Session, legacy: Legacy
) -> None:
    """Both databases are followers at epoch 2: an operator who has no newer copy may let this one overtake them."""
    assert command("rollback")["ok"]
    put_in_place(session, legacy, older)
    services = services_of(session)
    assert set(codes(command("copy"))) == {"file_behind"}
    answer = command("dual-write", "--resync")
    assert (answer["ok"], answer["data"]["epoch"]) == (True, 4)
    time.sleep(MAX_AGE_SECONDS)
    assert services.rename(3, "after") == "file"
    assert [query(engine, "SELECT epoch FROM migration_phase") for engine in session.targets.values()] == [
        [(4,)],
        [(4,)],
    ]


def test_the_lag_on_the_way_back_is_shown_in_seconds(older: Path, command: Command, session: Session) -> None:
    found = command("status")["data"]["databases"]
    assert (found["user_db"]["lag_entries"], found["auth_db"]["lag_entries"]) == (1, 0)
    assert found["user_db"]["lag_seconds"] > 0
    assert found["auth_db"]["lag_seconds"] == 0
    query(session.user, "UPDATE migration_reverse_log SET at = at - interval '90 seconds'")
    assert 90 <= command("status")["data"]["databases"]["user_db"]["lag_seconds"] < 600
    apply_reverse(session)
    assert command("status")["data"]["databases"]["user_db"]["lag_seconds"] == 0
