"""Doctor finds what will go wrong before it does, each thing under its own code, and changes nothing."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from migration import doctor, doctor_values
from migration.answer import Answer
from migration.session import Session, open_session
from service_kit.settings import load
from tests.integration.migration_copy.support import HASH, SCHEMA, copy_all, query
from tests.support.environment import service_environment


@pytest.fixture
def examine(
    file_path: Path,
    database_urls: dict[str, str],
    redis_url: str,
) -> Callable[..., Answer]:
    """Doctor on whatever the test put at `file_path`; keywords change settings."""

    def run(**changed: object) -> Answer:
        values: dict[str, object] = {
            "legacy_sqlite_path": file_path,
            **database_urls,
            "redis_url": redis_url,
        }
        with open_session(load("worker", service_environment({**values, **changed}))) as session:
            return doctor.examine(session)

    return run


def _codes(answer: Answer) -> set[str]:
    assert all(issue.message for issue in answer.issues)
    return {issue.code for issue in answer.issues}


def _errors(answer: Answer) -> set[str]:
    assert all(issue.remedy for issue in answer.issues if issue.severity == "error")
    assert answer.ok == (not any(issue.severity == "error" for issue in answer.issues))
    return {issue.code for issue in answer.issues if issue.severity == "error"}


def _file(path: Path, *statements: str, schema: str = SCHEMA) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in (schema, *statements):
        connection.execute(statement)
    connection.close()


def test_a_sound_file_has_no_error_and_an_estimate(
    examine: Callable[..., Answer], legacy: sqlite3.Connection
) -> None:
    answer = examine()
    assert _errors(answer) == set()
    assert answer.phase == "legacy"
    assert answer.next_steps == ["flask migration dual-write"]
    assert answer.data["values"]["rows"] == answer.data["values"]["rows_looked_at"] == 300
    assert answer.data["values"]["rejected"] == 0
    assert answer.data["estimate"]["rows_per_second"] > 0
    assert "no_worker" in _codes(answer)
    assert legacy.execute("SELECT name FROM sqlite_master WHERE name LIKE 'migration%'").fetchall() == []


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, "file_missing"), (b"", "file_empty"), (b"not a database, just text\n" * 50, "not_sqlite")],
)
def test_a_file_that_is_none_is_named_so(
    examine: Callable[..., Answer], file_path: Path, content: bytes | None, code: str
) -> None:
    if content is not None:
        file_path.write_bytes(content)
    answer = examine()
    assert _errors(answer) == {code}
    assert answer.next_steps == ["flask migration doctor, after mending the errors"]


def test_a_damaged_file_is_named_so(examine: Callable[..., Answer], file_path: Path) -> None:
    _file(
        file_path, *(f"INSERT INTO users (email, password) VALUES ('u{n}', '{'h' * 900}')" for n in range(40))
    )
    data = bytearray(file_path.read_bytes())
    data[4096 * 3 : 4096 * 5] = b"\xff" * 8192
    file_path.write_bytes(data)
    assert "file_corrupt" in _errors(examine())


def test_a_locked_file_is_named_so(examine: Callable[..., Answer], legacy: sqlite3.Connection) -> None:
    legacy.execute("BEGIN IMMEDIATE")
    try:
        assert "file_locked" in _errors(examine())
    finally:
        legacy.execute("ROLLBACK")
    assert "file_locked" not in _codes(examine())


def test_a_file_that_may_not_be_written_is_named_so(
    examine: Callable[..., Answer], file_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _file(file_path)
    real = doctor.examine_file.__globals__["os"].access  # the tests may run as root, who may write anything
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != str(file_path) and real(path, mode))
    assert _errors(examine()) == {"file_read_only"}


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        ("CREATE TABLE people (id INTEGER PRIMARY KEY)", "table_missing"),
        ("CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT UNIQUE)", "column_missing"),
        (SCHEMA.replace("name TEXT", "name TEXT, age INTEGER"), "column_unknown"),
        (SCHEMA.replace("INTEGER PRIMARY KEY AUTOINCREMENT", "INT PRIMARY KEY"), "key_unusable"),
        (SCHEMA.replace(" AUTOINCREMENT", ""), "ids_reused"),
        (SCHEMA.replace(" UNIQUE", ""), "email_not_unique"),
    ],
)
def test_a_table_that_cannot_be_migrated_is_named_so(
    examine: Callable[..., Answer], file_path: Path, schema: str, code: str
) -> None:
    _file(file_path, schema=schema)
    assert code in _errors(examine())


def test_what_else_hangs_on_the_table_is_told(examine: Callable[..., Answer], file_path: Path) -> None:
    _file(
        file_path,
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (id))",
        "CREATE TABLE settings (k, v)",
        "CREATE TRIGGER stamp AFTER UPDATE ON users BEGIN SELECT 1; END",
        "CREATE VIEW people AS SELECT name FROM users",
    )
    answer = examine()
    assert _errors(answer) == set()
    assert {"tables_unknown", "tables_tied", "triggers_foreign", "views_present", "journal_mode"} <= _codes(
        answer
    )
    told = next(issue.message for issue in answer.issues if issue.code == "tables_unknown")
    assert "orders, settings" in told


def test_values_are_counted_as_the_copy_will_treat_them(
    examine: Callable[..., Answer], legacy: sqlite3.Connection
) -> None:
    statements = [
        ("UPDATE users SET name = x'00' WHERE id IN (1, 2)", ()),
        ("UPDATE users SET created_at = '2024-02-30 00:00:00' WHERE id = 3", ()),
        ("UPDATE users SET created_at = 1700000000 WHERE id IN (4, 5, 6)", ()),
        ("UPDATE users SET password = 'plain' WHERE id = 7", ()),
        ("UPDATE users SET email = 'USER9@example.com' WHERE id = 8", ()),
        ("INSERT INTO users (id, email, password) VALUES (-3, 'n@example.com', ?)", (HASH,)),
        ("INSERT INTO users (id, email, password) VALUES (3000000000, 'b@example.com', ?)", (HASH,)),
    ]
    for statement, values in statements:
        legacy.execute(statement, values)
    answer = examine()
    assert _errors(answer) == set()
    values = answer.data["values"]
    assert values["rejected"] == 3
    assert values["hashes_not_bcrypt"] == 1
    assert (values["ids_not_positive"], values["ids_beyond_32_bits"]) == (1, 1)
    assert values["dates_with_source_form"] == 4  # the impossible one among them
    told = " ".join(issue.message for issue in answer.issues if issue.code == "values_rejected")
    assert "for their name (not_text): 2 (ids 1, 2)" in told
    assert "for their created_at (impossible_date): 1 (ids 3)" in told
    assert "in case only: 2." in next(
        issue.message for issue in answer.issues if issue.code == "emails_by_case"
    )


def test_emails_that_are_there_twice_are_an_error(examine: Callable[..., Answer], file_path: Path) -> None:
    twice = "INSERT INTO users (email, password) VALUES ('a@example.com', 'h')"
    _file(file_path, twice, twice, schema=SCHEMA.replace(" UNIQUE", ""))
    assert _errors(examine()) == {"email_not_unique", "emails_twice"}


def test_a_large_file_is_judged_by_samples(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_values, "WHOLE_UP_TO", 100)
    monkeypatch.setattr(doctor_values, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(doctor_values, "SAMPLES", 5)
    scan = doctor_values.scan_values(session.file, whole=False)
    assert (scan.rows, scan.read) == (300, 50)
    assert scan.scaled(5) == 30
    assert doctor_values.scan_values(session.file, whole=True).read == 300


@pytest.mark.parametrize("which", ["user_database_url", "auth_database_url", "migration_database_url"])
def test_a_database_that_is_away_is_named_and_the_rest_is_looked_at(
    examine: Callable[..., Answer], legacy: sqlite3.Connection, which: str
) -> None:
    answer = examine(**{which: "postgresql://nobody:x@127.0.0.1:1/nothing"})
    assert _errors(answer) == {"unreachable"}
    assert answer.data["values"]["rows"] == 300


def test_a_redis_that_is_away_is_an_error(examine: Callable[..., Answer], legacy: sqlite3.Connection) -> None:
    assert _errors(examine(redis_url="redis://127.0.0.1:1/0")) == {"redis_unreachable"}


def test_a_schema_that_is_not_there_or_old_is_named_so(
    examine: Callable[..., Answer], legacy: sqlite3.Connection, session: Session
) -> None:
    query(session.migration, "UPDATE alembic_version SET version_num = '0000'")
    assert _errors(examine()) == {"schema_behind"}
    query(session.migration, "DROP TABLE alembic_version")
    assert _errors(examine()) == {"schema_missing"}


def test_reverse_capture_that_is_off_is_an_error(
    examine: Callable[..., Answer], legacy: sqlite3.Connection, session: Session
) -> None:
    query(session.auth, "ALTER TABLE user_credentials DISABLE TRIGGER migration_capture")
    assert _errors(examine()) == {"no_reverse_capture"}


def test_databases_of_another_file_are_refused(
    examine: Callable[..., Answer], legacy: sqlite3.Connection, session: Session
) -> None:
    query(session.user, "UPDATE migration_phase SET file_id = 'another'")
    assert _errors(examine()) == {"other_file"}


def test_capture_that_was_lost_with_the_table_is_an_error(
    examine: Callable[..., Answer], legacy: sqlite3.Connection, session: Session
) -> None:
    copy_all(session)
    assert _errors(examine()) == set()
    legacy.execute("DROP TRIGGER migration_capture_users_update")
    assert _errors(examine()) == {"capture_outdated"}
