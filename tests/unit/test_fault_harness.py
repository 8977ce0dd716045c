"""What the fault runs see of the file is what is in it."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.faults.harness.legacy import rows_of_file, state_of_file

_MANY = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"


@pytest.fixture
def left_behind(tmp_path: Path) -> Path:
    """A file at (1, cutover) as a process leaves it that dies with half a commit written, its journal beside it."""
    file, left = tmp_path / "users.db", tmp_path / "left" / "users.db"
    left.parent.mkdir()
    connection = sqlite3.connect(file, isolation_level=None)
    connection.executescript(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, email, password, name, created_at);"
        "INSERT INTO users VALUES (7, 'seven@example.com', 'hash', 'before', NULL);"
        "CREATE TABLE migration_state (epoch, phase); INSERT INTO migration_state VALUES (1, 'cutover');"
        "CREATE TABLE filler (bytes); PRAGMA cache_size = 1"  # so small that the file is written before the commit
    )
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE migration_state SET epoch = 2, phase = 'verified'")
    connection.execute("UPDATE users SET name = 'half'")
    connection.execute(f"{_MANY} INSERT INTO filler SELECT randomblob(500) FROM n")
    for name in ("users.db", "users.db-journal"):
        shutil.copy(file.parent / name, left.parent / name)
    connection.close()
    return left


def test_a_commit_that_did_not_end_is_not_taken_for_a_file_without_a_migration(left_behind: Path) -> None:
    # seed 62024: a rollback on a full disk was taken for done, since the file could not be read at that moment
    assert state_of_file(left_behind) == (1, "cutover")


def test_rows_are_read_as_before_a_commit_that_did_not_end(left_behind: Path) -> None:
    assert rows_of_file(left_behind)[7][2] == "before"


def test_a_file_without_the_migration_s_tables_is_in_phase_legacy(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "users.db").close()
    (tmp_path / "users.db").touch()
    assert state_of_file(tmp_path / "users.db") == (0, "legacy")
