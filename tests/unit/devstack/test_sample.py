"""The sample legacy file is what the monolith would have written."""

import sqlite3
from contextlib import closing
from pathlib import Path

import bcrypt

from devstack import sample


def test_its_users_can_log_in_with_the_documented_password(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "users.db"
    sample.make(path, users=5)
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT id, email, password, name, created_at FROM users ORDER BY id"
        ).fetchall()
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0][1] == "user1@example.com"
    assert bcrypt.checkpw(sample.PASSWORD.encode(), rows[0][2].encode())
    assert all(len(row[4]) == len("2024-01-01 00:00:00") for row in rows)


def test_ids_are_never_used_again(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    sample.make(path, users=3)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM users WHERE id = 3")
        connection.execute("INSERT INTO users (email, password) VALUES ('a@example.com', 'x')")
        assert connection.execute("SELECT max(id) FROM users").fetchone() == (4,)


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    path.write_text("mine")
    sample.make(path)
    assert path.read_text() == "mine"


def test_half_a_file_of_an_interrupted_start_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    (tmp_path / "users.db.new").write_text("half")
    sample.make(path, users=1)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (1,)
