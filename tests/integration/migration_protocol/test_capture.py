"""Every change of the legacy file is logged in its own transaction, whoever makes it and however."""

import sqlite3

import pytest

from migration.answer import Refused
from migration.capture import install, look, raise_fence
from migration.raw_file import RawFile
from tests.integration.migration_protocol.support import BOTH_MODES, SCHEMA, Legacy

pytestmark = BOTH_MODES

WRITES = [
    ("INSERT INTO users (email, password) VALUES ('new@example.com', 'x')", {4}),
    ("INSERT INTO users (id, email, password) VALUES (40, 'new@example.com', 'x')", {40}),
    ("INSERT INTO users (id, email, password) VALUES (-9223372036854775808, 'low', 'x')", {-(2**63)}),
    ("UPDATE users SET name = 'n' WHERE id = 1", {1}),
    ("UPDATE users SET name = 'n'", {1, 2, 3}),
    ("UPDATE users SET id = 30 WHERE id = 3", {3, 30}),
    ("DELETE FROM users WHERE id = 2", {2}),
    ("DELETE FROM users", {1, 2, 3}),
    ("INSERT OR REPLACE INTO users (email, password) VALUES ('bob@example.com', 'x')", {2, 4}),
    ("REPLACE INTO users (id, email, password) VALUES (1, 'cat@example.com', 'x')", {1, 3}),
    ("UPDATE OR REPLACE users SET email = 'ann@example.com' WHERE id = 3", {1, 3}),
    ("UPDATE OR REPLACE users SET id = 2 WHERE id = 1", {1, 2}),
    (
        "INSERT INTO users (email, password) VALUES ('ann@example.com', 'x')"
        " ON CONFLICT (email) DO UPDATE SET name = 'upserted'",
        {1},
    ),
    ("UPDATE users SET email = id || '!' WHERE id < 3", {1, 2}),
]


@pytest.mark.parametrize(("statement", "changed"), WRITES)
def test_every_statement_form_logs_each_row_that_it_changes(
    statement: str, changed: set[int], captured: RawFile, legacy: Legacy
) -> None:
    before = legacy.accounts()
    legacy.run(statement)
    after = legacy.accounts()
    differing = {key for key in before | after if before.get(key) != after.get(key)}
    assert differing <= changed
    assert changed <= {key for key, _ in legacy.log()}


def test_a_rolled_back_write_leaves_nothing_in_the_log(captured: RawFile, legacy: Legacy) -> None:
    legacy.run("BEGIN")
    legacy.run("UPDATE users SET name = 'n'")
    legacy.run("ROLLBACK")
    assert legacy.log() == []


def test_an_id_that_the_trigger_gave_to_the_log_does_not_leak_to_the_writer(
    captured: RawFile, legacy: Legacy
) -> None:
    for number in range(5):
        legacy.run("UPDATE users SET name = ? WHERE id = 1", str(number))
    assert legacy.add("dan") == 4
    assert legacy.run("SELECT changes()") == [(1,)]


def test_a_value_that_is_no_text_does_not_make_the_writer_fail(captured: RawFile, legacy: Legacy) -> None:
    legacy.run("UPDATE users SET name = x'ff00', created_at = 0.30000000000000004 WHERE id = 1")
    assert legacy.log() == [(1, "u")]


def test_installing_twice_changes_nothing(captured: RawFile) -> None:
    before = captured.state()
    assert install(captured).how == "present"
    assert captured.state() == before


def test_an_installation_that_cannot_be_whole_leaves_no_trace(file: RawFile, legacy: Legacy) -> None:
    legacy.run("ALTER TABLE users ADD COLUMN phone TEXT")
    with pytest.raises(Refused, match="column_unknown"):
        install(file)
    assert legacy.run("SELECT name FROM sqlite_master WHERE name LIKE 'migration%'") == []


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        ("CREATE TABLE users (id INTEGER PRIMARY KEY, email, password, name, created_at)", "ids_reused"),
        ("CREATE TABLE users (id INT PRIMARY KEY, email, password, name, created_at)", "key_unusable"),
        ("CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, email, password)", "column_missing"),
        (
            "CREATE TABLE users (id INTEGER PRIMARY KEY, email, password, name, created_at) WITHOUT ROWID",
            "key_unusable",
        ),
        ("CREATE TABLE people (id INTEGER PRIMARY KEY)", "table_missing"),
    ],
)
def test_a_table_that_cannot_be_captured_is_refused(
    schema: str, code: str, file: RawFile, legacy: Legacy
) -> None:
    legacy.run("DROP TABLE users")
    legacy.run(schema)
    with pytest.raises(Refused, match=code):
        install(file)


def test_the_victims_of_every_unique_index_are_logged(file: RawFile, legacy: Legacy) -> None:
    legacy.run("CREATE UNIQUE INDEX one_name ON users (name COLLATE NOCASE)")
    install(file)
    legacy.run("REPLACE INTO users (email, password, name) VALUES ('x', 'x', 'BOB')")
    assert legacy.log() == [(2, "v"), (4, "i")]


def test_a_unique_index_on_an_expression_is_refused(file: RawFile, legacy: Legacy) -> None:
    legacy.run("CREATE UNIQUE INDEX folded ON users (lower(email))")
    with pytest.raises(Refused, match="index_unusable"):
        install(file)


def test_a_rebuilt_table_is_noticed_in_the_next_snapshot_and_repaired(
    captured: RawFile, legacy: Legacy
) -> None:
    legacy.run("CREATE TABLE copy AS SELECT * FROM users")
    legacy.run("DROP TABLE users")
    legacy.run(SCHEMA)
    legacy.run("INSERT INTO users SELECT * FROM copy")
    assert _codes(captured) == ["capture_missing"]
    repaired = install(captured)
    assert (repaired.how, repaired.state.epoch, repaired.state.phase) == ("repaired", 2, "dual_write")
    assert _codes(captured) == []


def test_a_new_unique_index_is_noticed(captured: RawFile, legacy: Legacy) -> None:
    legacy.run("CREATE UNIQUE INDEX one_name ON users (name)")
    assert _codes(captured) == ["capture_outdated"]


def test_a_single_dropped_trigger_is_noticed(captured: RawFile, legacy: Legacy) -> None:
    legacy.run("DROP TRIGGER migration_capture_users_delete")
    assert _codes(captured) == ["capture_outdated"]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO users (email, password) VALUES ('new', 'x')",
        "INSERT OR IGNORE INTO users (email, password) VALUES ('ann@example.com', 'x')",
        "INSERT OR REPLACE INTO users (email, password) VALUES ('ann@example.com', 'x')",
        "REPLACE INTO users (id, email, password) VALUES (1, 'ann@example.com', 'x')",
        "INSERT INTO users (email, password) VALUES ('ann@example.com', 'x') ON CONFLICT DO NOTHING",
        "UPDATE users SET name = 'n'",
        "UPDATE OR IGNORE users SET email = 'bob@example.com' WHERE id = 1",
        "UPDATE OR REPLACE users SET email = 'bob@example.com' WHERE id = 1",
        "DELETE FROM users WHERE id = 1",
        "DELETE FROM users",
    ],
)
def test_the_fence_stops_every_statement_form_on_a_connection_opened_long_ago(
    statement: str, captured: RawFile, legacy: Legacy
) -> None:
    before = legacy.accounts()
    with captured.exclusive() as connection:
        raise_fence(connection)
    with pytest.raises(sqlite3.IntegrityError, match="moved to PostgreSQL"):
        legacy.run(statement)
    assert legacy.accounts() == before
    assert legacy.log() == []


def _codes(file: RawFile) -> list[str]:
    with file.snapshot() as connection:
        return [issue.code for issue in look(connection).issues]
