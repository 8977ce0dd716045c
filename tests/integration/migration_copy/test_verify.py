"""Verification finds every planted difference, to row and column, raises no false alarm, and mends what it finds."""

import sqlite3
import threading
from pathlib import Path

import pytest

from migration import indexes, plan, verify, verify_chunk
from migration.answer import Refused
from migration.catch_up import catch_up
from migration.session import Session
from service_kit.truth.legacy_file import COPIED, VERIFIED
from tests.integration.migration_copy.support import (
    HASH,
    accounts,
    copy_all,
    plain_accounts,
    query,
    verify_all,
    work_off,
)
from tests.integration.migration_copy.test_copy import _write_until

USERS_DAMAGE = {
    "UPDATE users SET email = 'User7@example.com' WHERE id = 7": (7, "user_db", "email", "changed"),
    "UPDATE users SET name = 'User 7 ' WHERE id = 7": (7, "user_db", "name", "changed"),
    "UPDATE users SET name = NULL WHERE id = 7": (7, "user_db", "name", "changed"),
    "UPDATE users SET name = '\\N' WHERE id = 7": (7, "user_db", "name", "changed"),
    "UPDATE users SET created_at = created_at + interval '1 second' WHERE id = 7": (
        7,
        "user_db",
        "created_at",
        "changed",
    ),
    "UPDATE users SET created_at = created_at + interval '1 microsecond' WHERE id = 7": (
        7,
        "user_db",
        "created_at",
        "changed",
    ),
    "UPDATE users SET created_at = NULL WHERE id = 7": (7, "user_db", "created_at", "changed"),
    "UPDATE users SET created_at_source = 'i:1' WHERE id = 7": (7, "user_db", "created_at_source", "changed"),
    "UPDATE users SET status = 'pending', pending_since = now() WHERE id = 7": (
        7,
        "user_db",
        "status",
        "changed",
    ),
    "DELETE FROM users WHERE id = 7": (7, "user_db", "(row)", "missing"),
    "INSERT INTO users (id, email) VALUES (-1, 'extra@example.com')": (-1, "user_db", "(row)", "extra"),
    "INSERT INTO users (id, email) VALUES (9223372036854775807, 'x')": (
        2**63 - 1,
        "user_db",
        "(row)",
        "extra",
    ),
    "INSERT INTO migration_rejects (key, seq, column_name, reason) VALUES (7, 0, 'name', 'nul_character')": (
        7,
        "user_db",
        "(reject)",
        "extra",
    ),
}
AUTH_DAMAGE = {
    "UPDATE user_credentials SET password_hash = overlay(password_hash placing 'X' from 40) WHERE user_id = 7": (
        7,
        "auth_db",
        "password_hash",
        "changed",
    ),
    "UPDATE user_credentials SET salt = NULL WHERE user_id = 7": (7, "auth_db", "salt", "changed"),
    "DELETE FROM user_credentials WHERE user_id = 7": (7, "auth_db", "(row)", "missing"),
    "INSERT INTO user_credentials (user_id, password_hash) VALUES (0, 'x')": (0, "auth_db", "(row)", "extra"),
}


def _found(session: Session) -> list[tuple[int, str, str, str]]:
    done = verify.verdict
    newest = plan.latest(session.migration, plan.VERIFY, session.file.state().file_id or "")
    assert newest is not None
    assert done(session.migration, newest).differences == len(
        verify.listed(session.migration, newest.id, 10_000)
    )
    return [
        (one.key, one.database, one.column, one.kind)
        for one in verify.listed(session.migration, newest.id, 10_000)
    ]


def _mend(session: Session) -> None:
    newest = plan.latest(session.migration, plan.VERIFY, session.file.state().file_id or "")
    assert newest is not None
    verify.mend(session, newest)


@pytest.mark.parametrize("statement", [*USERS_DAMAGE, *AUTH_DAMAGE])
def test_a_planted_difference_is_found_to_the_column_and_mended(
    session: Session, legacy: sqlite3.Connection, statement: str
) -> None:
    copy_all(session)
    engine = session.user if statement in USERS_DAMAGE else session.auth
    query(engine, statement)
    assert not verify_all(session).clean
    assert _found(session) == [{**USERS_DAMAGE, **AUTH_DAMAGE}[statement]]
    assert session.file.state().phase == COPIED
    _mend(session)
    assert verify_all(session).clean
    assert session.file.state().phase == VERIFIED
    assert accounts(session) == plain_accounts(legacy)


def test_rows_that_are_the_same_are_only_digested(
    session: Session, legacy: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    legacy.execute("UPDATE users SET name = NULL, created_at = NULL, password = 'no bcrypt' WHERE id % 7 = 0")
    copy_all(session)

    def fetch(*_: object) -> set[int]:
        raise AssertionError("the rows were fetched")

    monkeypatch.setattr(verify_chunk, "_differing", fetch)
    assert verify_all(session).clean


def test_a_null_and_its_spelling_are_not_the_same(session: Session, legacy: sqlite3.Connection) -> None:
    legacy.execute("UPDATE users SET name = NULL WHERE id = 9")
    legacy.execute("UPDATE users SET name = ? WHERE id = 10", ("\\N",))
    copy_all(session)
    query(session.user, "UPDATE users SET name = CASE id WHEN 9 THEN %s END WHERE id IN (9, 10)", "\\N")
    assert not verify_all(session).clean
    assert [(key, column) for key, _, column, _ in _found(session)] == [(9, "name"), (10, "name")]


def test_swapped_hashes_are_found(session: Session, legacy: sqlite3.Connection) -> None:
    legacy.execute("UPDATE users SET password = ? WHERE id = 8", (HASH.replace("ABC", "CBA"),))
    copy_all(session)
    query(
        session.auth,
        "UPDATE user_credentials one SET password_hash = other.password_hash FROM user_credentials other"
        " WHERE (one.user_id, other.user_id) IN ((7, 8), (8, 7))",
    )
    assert not verify_all(session).clean
    assert [(key, column) for key, _, column, _ in _found(session)] == [
        (7, "password_hash"),
        (8, "password_hash"),
    ]


def test_swapped_emails_are_mended_although_emails_are_unique(
    session: Session, legacy: sqlite3.Connection
) -> None:
    copy_all(session)
    query(
        session.user,
        "SET CONSTRAINTS ALL DEFERRED; UPDATE users SET email = CASE id WHEN 7 THEN 'user290@example.com'"
        " ELSE 'user7@example.com' END WHERE id IN (7, 290)",
    )
    assert not verify_all(session).clean
    _mend(session)
    assert verify_all(session).clean
    assert accounts(session) == plain_accounts(legacy)


def test_a_change_of_the_file_behind_the_triggers_is_found_and_mended(
    session: Session, legacy: sqlite3.Connection
) -> None:
    copy_all(session)
    legacy.execute("UPDATE migration_state SET applying = 1")
    legacy.execute("UPDATE users SET name = 'unseen' WHERE id = 20")
    legacy.execute("DELETE FROM users WHERE id = 21")
    legacy.execute("INSERT INTO users (id, email, password) VALUES (500, 'unseen@example.com', 'h')")
    legacy.execute("UPDATE migration_state SET applying = 0")
    assert not verify_all(session).clean
    assert {(key, column, kind) for key, _, column, kind in _found(session)} == {
        (20, "name", "changed"),
        (21, "(row)", "extra"),
        (500, "(row)", "missing"),
    }
    _mend(session)
    assert verify_all(session).clean
    assert accounts(session) == plain_accounts(legacy)


def test_a_repair_makes_no_event(session: Session) -> None:
    copy_all(session)
    query(session.user, "UPDATE users SET name = 'damaged' WHERE id = 7")
    query(session.auth, "UPDATE user_credentials SET password_hash = 'damaged' WHERE user_id = 7")
    verify_all(session)
    _mend(session)
    for engine in (session.user, session.auth):
        assert query(engine, "SELECT count(*) FROM events") == [(0,)]


def test_a_change_that_is_not_applied_yet_is_no_difference(
    session: Session, legacy: sqlite3.Connection
) -> None:
    copy_all(session)
    begun = verify.begin(session)
    legacy.execute("UPDATE users SET name = 'on its way' WHERE id = 30")
    legacy.execute("DELETE FROM users WHERE id = 31")
    legacy.execute("UPDATE users SET name = 'applied' WHERE id = 32")
    catch_up(session.file, session.targets)
    legacy.execute("UPDATE users SET name = 'again' WHERE id = 32")
    work_off(session, begun)
    assert verify.finish(session, begun)
    verdict = verify.verdict(session.migration, begun)
    assert verdict.clean
    assert verdict.compared_again >= 1


def test_live_traffic_raises_no_false_alarm_and_hides_no_difference(
    session: Session, file_path: Path, legacy: sqlite3.Connection
) -> None:
    copy_all(session)
    legacy.execute("INSERT INTO users (id, email, password) VALUES (100000, 'quiet@example.com', 'h')")
    catch_up(session.file, session.targets)
    stop = threading.Event()
    errors: list[str] = []
    writer = threading.Thread(target=_write_until, args=(file_path, stop, errors))
    writer.start()
    try:
        for _ in range(3):
            assert verify_all(session).clean
        query(session.user, "UPDATE users SET name = 'damaged' WHERE id = 100000")
        assert not verify_all(session).clean
        assert _found(session) == [(100000, "user_db", "name", "changed")]
    finally:
        stop.set()
        writer.join()
    assert errors == []


def test_many_extra_rows_are_found_in_flat_memory(session: Session) -> None:
    copy_all(session)
    query(
        session.user,
        "INSERT INTO users (id, email, name) SELECT n, 'extra' || n, repeat('x', 2000)"
        " FROM generate_series(1000, 13000) AS n",
    )
    verdict = verify_all(session)
    assert verdict.keys >= verify.MOST_DIFFERENCES
    assert not verdict.clean


def test_it_waits_for_its_turn_and_owes_the_email_index(session: Session) -> None:
    with pytest.raises(Refused, match="not_its_turn"):
        verify.begin(session)
    copy_all(session)
    query(session.user, "ALTER TABLE users DROP CONSTRAINT users_email_key")
    assert verify_all(session).clean
    assert indexes.present(session.user)


def test_no_hash_is_kept_with_a_difference(session: Session) -> None:
    copy_all(session)
    query(session.auth, "UPDATE user_credentials SET password_hash = 'other' WHERE user_id = 7")
    verify_all(session)
    rows = query(session.migration, "SELECT source, target FROM differences")
    assert rows
    assert {value for row in rows for value in row} <= {"(not shown)", None}
