"""Whatever SQLite let into the file is in PostgreSQL exactly, or in the rejects with its reason and bytes."""

import sqlite3
from typing import Any

import pytest

from migration import rejects
from migration.answer import Refused
from migration.catch_up import catch_up
from migration.rejects_open import open_rejects
from migration.session import Session
from tests.integration.migration_copy.support import HASH, accounts, copy_all, query, verify_all

DAY = "2024-01-31 10:20:30"

KEPT: dict[int, tuple[Any, ...]] = {
    # id: what is written; what PostgreSQL has for (email, hash, name, created_at, created_at_source)
    1001: ("UPPER@example.com", HASH, "Case", DAY),
    1002: ("upper@example.com", HASH, "case", DAY),
    1003: ("tab@example.com", HASH, "a\tb\\c\nd\re", DAY),
    1004: ("null@example.com", HASH, None, None),
    1005: ("slash@example.com", HASH, "\\N", DAY),
    1006: ("plain@example.com", "not bcrypt at all", "", DAY),
    1007: ("ünï@exämple.com", HASH, "名前 🙂", DAY),
    1008: ("iso@example.com", HASH, "n", "2024-01-31T10:20:30.250Z"),
    1009: ("seconds@example.com", HASH, "n", 1706696430),
    1010: ("millis@example.com", HASH, "n", 1706696430123),
    1011: ("julian@example.com", HASH, "n", 2460340.5),
    1012: ("day@example.com", HASH, "n", "2024-01-31"),
    1013: ("long@example.com", HASH, "n" * 2**20, DAY),
    1014: ("e" * 2000, HASH, "n", DAY),
    1015: ("control@example.com", HASH, "\x01\x08\x0b\x0c\x1f\x7f", DAY),
    1016: ("dot@example.com", HASH, "\\.", DAY),
}
DATES = {
    DAY: (DAY, None),
    None: (None, None),
    "2024-01-31T10:20:30.250Z": ("2024-01-31 10:20:30.25", "t:2024-01-31T10:20:30.250Z"),
    1706696430: ("2024-01-31 10:20:30", "i:1706696430"),
    1706696430123: ("2024-01-31 10:20:30.123", "i:1706696430123"),
    2460340.5: ("2024-01-31 00:00:00", "r:2460340.5"),
    "2024-01-31": ("2024-01-31 00:00:00", "t:2024-01-31"),
}
REJECTED: dict[int, tuple[tuple[Any, ...], str, str, bytes]] = {
    2001: (("nul@example.com", HASH, "a\0b", DAY), "name", "nul_character", b"a\0b"),
    2002: (("blob@example.com", HASH, b"\x00\xff", DAY), "name", "not_text", b"\x00\xff"),
    2003: (("bad@example.com", "bad \udcff", "n", DAY), "password", "not_utf8", b"bad \xff"),
    2004: (("e" * 2001, HASH, "n", DAY), "email", "too_long: 2001 bytes, at most 2000", b"e" * 2001),
    2005: (
        ("feb@example.com", HASH, "n", "2024-02-30 00:00:00"),
        "created_at",
        "impossible_date",
        b"2024-02-30 00:00:00",
    ),
    2006: (("when@example.com", HASH, "n", "last week"), "created_at", "unreadable_date", b"last week"),
    2007: (("far@example.com", HASH, "n", 10**18), "created_at", "date_out_of_range", b"1000000000000000000"),
}


def _fill(legacy: sqlite3.Connection) -> None:
    rows = {**KEPT, **{key: row for key, (row, *_) in REJECTED.items()}}
    for key, (email, password, name, created_at) in rows.items():
        legacy.execute(
            "INSERT INTO users (id, email, password, name, created_at) VALUES (?, ?, CAST(? AS TEXT), ?, ?)",
            (key, email, password.encode("utf-8", "surrogateescape"), name, created_at),
        )


def _expected(key: int) -> tuple[Any, ...]:
    email, password, name, created_at = KEPT[key]
    return (email, password, name, *DATES[created_at])


def _check(session: Session) -> None:
    found = accounts(session)
    assert {key: found[key] for key in KEPT} == {key: _expected(key) for key in KEPT}
    assert set(found) == set(range(1, 301)) | set(KEPT)
    noted = {one.key: (one.column, one.reason, one.raw) for one in rejects.listed(session)}
    assert noted == {key: (column, reason, raw) for key, (_, column, reason, raw) in REJECTED.items()}
    assert dict(
        query(session.auth, "SELECT user_id, salt FROM user_credentials WHERE user_id IN (1001, 1006)")
    ) == {
        1001: HASH[:29],
        1006: None,
    }


def test_the_copy_keeps_or_rejects_each_value_and_verify_agrees(
    session: Session, legacy: sqlite3.Connection
) -> None:
    _fill(legacy)
    copy_all(session)
    _check(session)
    verdict = verify_all(session)
    assert verdict.clean
    assert (verdict.rows, verdict.rejected) == (300 + len(KEPT) + len(REJECTED), len(REJECTED))


def test_rows_present_before_capture_are_kept_or_rejected_the_same(
    session: Session, legacy: sqlite3.Connection
) -> None:
    """The copy, not the log, meets them: the log is emptied as if they had always been there."""
    legacy.execute("UPDATE migration_state SET applying = 1")
    _fill(legacy)
    legacy.execute("UPDATE migration_state SET applying = 0")
    copy_all(session)
    _check(session)
    assert verify_all(session).clean


def test_a_row_mended_in_the_file_is_rejected_no_more(session: Session, legacy: sqlite3.Connection) -> None:
    _fill(legacy)
    copy_all(session)
    legacy.execute("UPDATE users SET name = 'mended' WHERE id = 2001")
    catch_up(session.file, session.targets)
    legacy.execute("UPDATE migration_state SET applying = 1")  # out of the triggers' sight
    legacy.execute("UPDATE users SET name = 'mended' WHERE id = 2002")
    legacy.execute("UPDATE migration_state SET applying = 0")
    left = rejects.retry(session, [])
    assert {one.key for one in left} == set(REJECTED) - {2001, 2002}
    found = accounts(session)
    assert found[2001][2] == found[2002][2] == "mended"
    assert verify_all(session).clean


def test_a_row_that_became_bad_leaves_the_databases(session: Session, legacy: sqlite3.Connection) -> None:
    copy_all(session)
    legacy.execute("UPDATE users SET name = x'00ff' WHERE id = 5")
    catch_up(session.file, session.targets)
    assert 5 not in accounts(session)
    assert [one.key for one in rejects.listed(session)] == [5]
    assert verify_all(session).clean


def test_rejects_are_accepted_by_id_and_only_known_ones(session: Session, legacy: sqlite3.Connection) -> None:
    _fill(legacy)
    copy_all(session)
    assert open_rejects(session) == len(REJECTED)
    with pytest.raises(Refused, match="not_rejected"):
        rejects.accept(session, [1])
    assert rejects.accept(session, [2001, 2002]) == 2
    assert rejects.accept(session, [2002, 2003]) == 1
    assert open_rejects(session) == len(REJECTED) - 3
    accepted = {one.key for one in rejects.listed(session) if one.accepted_at}
    assert accepted == {2001, 2002, 2003}
    query(
        session.auth, "UPDATE migration_rejects SET accepted_at = NULL WHERE key = 2001"
    )  # killed in between
    assert open_rejects(session) == len(REJECTED) - 2
    assert rejects.accept(session, [2001]) == 1


def test_a_password_is_never_shown(session: Session, legacy: sqlite3.Connection) -> None:
    _fill(legacy)
    copy_all(session)
    shown = {one.key: one.shown for one in rejects.listed(session)}
    assert shown[2003] == "(5 bytes, not shown)"
    assert shown[2001] == "'a\\x00b'"
