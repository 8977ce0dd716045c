"""The log brings both databases to the file's state, whatever was written and whoever applies it when."""

import random
import sqlite3

import pytest
from sqlalchemy import Engine

from migration.apply import Outcome, apply_batch
from migration.batch import Batch, Blocked, read_batch
from migration.capture import install
from migration.catch_up import Reached, catch_up
from migration.drain import drain
from migration.session import Session
from migration.sides import AUTH, USER
from service_kit.truth.phase import follow
from tests.integration.migration_protocol.support import BOTH_MODES, Legacy, accounts_of, events, query


@pytest.fixture
def running(session: Session, legacy: Legacy) -> Session:
    """Capture installed and every row that was there before touched once, so that the log alone brings them over."""
    install(session.file)
    legacy.run("UPDATE users SET name = name")
    drain(session)
    return session


def batch_of(session: Session, after: int = 0, limit: int | None = None) -> Batch:
    with session.file.snapshot() as connection:
        batch = read_batch(connection, [after], limit)
    assert batch is not None
    return batch


def apply(session: Session, batch: Batch) -> tuple[Outcome, Outcome]:
    return (
        apply_batch(session.user, USER, batch).outcome,
        apply_batch(session.auth, AUTH, batch).outcome,
    )


def same_on_both_sides(session: Session, legacy: Legacy) -> bool:
    return accounts_of(session.user, session.auth) == legacy.accounts()


STATEMENTS = [
    "INSERT INTO users (email, password, name) VALUES ('{new}', 'h{n}', 'n{n}')",
    "INSERT OR REPLACE INTO users (email, password) VALUES ('{old}', 'h{n}')",
    "REPLACE INTO users (id, email, password) VALUES ({id}, '{old}', 'h{n}')",
    "INSERT OR IGNORE INTO users (email, password) VALUES ('{old}', 'h{n}')",
    "INSERT INTO users (email, password) VALUES ('{old}', 'h{n}') ON CONFLICT (email) DO UPDATE SET name = 'u{n}'",
    "UPDATE users SET name = 'n{n}' WHERE id = {id}",
    "UPDATE users SET password = 'h{n}' WHERE id = {id}",
    "UPDATE users SET email = '{new}' WHERE id = {id}",
    "UPDATE OR REPLACE users SET email = '{old}' WHERE id = {id}",
    "UPDATE OR IGNORE users SET email = '{old}' WHERE id = {id}",
    "UPDATE OR REPLACE users SET id = {n} WHERE id = {id}",
    "DELETE FROM users WHERE id = {id}",
    "SWAP {id}",
]


def write_at_random(legacy: Legacy, random_: random.Random, number: int) -> None:
    accounts = legacy.accounts()
    keys = list(accounts) or [1]
    values = {
        "n": 1000 + number,
        "id": random_.choice(keys),
        "new": f"new{number}@example.com",
        "old": random_.choice([account[0] for account in accounts.values()] or ["nobody"]),
    }
    statement = random_.choice(STATEMENTS).format(**values)
    if statement.startswith("SWAP"):
        swap_emails(legacy, values["id"], random_.choice(keys))
        return
    legacy.run("BEGIN IMMEDIATE")
    legacy.run(statement)
    legacy.run(random_.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]))


def swap_emails(legacy: Legacy, one: int, other: int) -> None:
    emails = {key: account[0] for key, account in legacy.accounts().items()}
    if one == other or not {one, other} <= emails.keys():
        return
    legacy.run("BEGIN IMMEDIATE")
    legacy.run("UPDATE users SET email = 'swapping' WHERE id = ?", one)
    legacy.run("UPDATE users SET email = ? WHERE id = ?", emails[one], other)
    legacy.run("UPDATE users SET email = ? WHERE id = ?", emails[other], one)
    legacy.run("COMMIT")


@BOTH_MODES
@pytest.mark.parametrize("seed", range(2))
def test_after_any_statements_both_sides_are_equal(seed: int, running: Session, legacy: Legacy) -> None:
    random_ = random.Random(seed)
    for number in range(60):
        write_at_random(legacy, random_, number)
        if random_.random() < 0.2:
            assert drain(running).reached is Reached.END
            assert same_on_both_sides(running, legacy)
    assert drain(running).reached is Reached.END
    assert same_on_both_sides(running, legacy)


@pytest.mark.parametrize("seed", range(4))
def test_batches_in_any_order_and_cut_anywhere_end_equal(seed: int, running: Session, legacy: Legacy) -> None:
    """Two appliers with snapshots of their own, cut short, applied late, twice, or to one database only."""
    random_ = random.Random(seed)
    batches: list[Batch] = []
    for number in range(40):
        write_at_random(legacy, random_, number)
        cursor = query(running.user, "SELECT cursor FROM migration_phase")[0][0]
        batches.append(batch_of(running, random_.choice([0, cursor]), random_.choice([None, 3])))
        late = random_.choice(batches)
        if random_.random() < 0.5:
            apply_batch(running.user, USER, late)
        if random_.random() < 0.5:
            apply_batch(running.auth, AUTH, late)
    assert drain(running).reached is Reached.END
    assert same_on_both_sides(running, legacy)


@BOTH_MODES
def test_two_rows_may_swap_their_emails(running: Session, legacy: Legacy) -> None:
    swap_emails(legacy, 1, 2)
    drain(running)
    assert same_on_both_sides(running, legacy)


def test_a_swap_that_a_batch_holds_half_of_is_applied_whole(running: Session, legacy: Legacy) -> None:
    after = batch_of(running).last_seq
    swap_emails(legacy, 1, 2)
    assert apply(running, batch_of(running, after, limit=1))[0] is Outcome.CLASH
    drain(running)
    assert same_on_both_sides(running, legacy)


def test_a_crash_between_the_databases_is_made_good_by_the_next_run(running: Session, legacy: Legacy) -> None:
    legacy.run("UPDATE users SET name = 'n', password = 'p' WHERE id = 1")
    apply_batch(running.user, USER, batch_of(running))
    assert not same_on_both_sides(running, legacy)
    drain(running)
    assert same_on_both_sides(running, legacy)


def test_a_deleted_row_is_not_brought_back_by_a_late_batch(running: Session, legacy: Legacy) -> None:
    late = batch_of(running)
    legacy.run("DELETE FROM users WHERE id = 1")
    drain(running)
    apply(running, late)
    assert same_on_both_sides(running, legacy)


def test_a_stale_batch_is_dropped_after_the_cutover(running: Session, legacy: Legacy) -> None:
    """V3: the applier read the row, the truth moved, a client wrote in PostgreSQL."""
    legacy.run("UPDATE users SET name = 'old' WHERE id = 1")
    late = batch_of(running)
    for engine in (running.user, running.auth):
        follow(engine, 1)
    query(running.user, "UPDATE users SET name = 'new' WHERE id = 1")
    assert apply(running, late) == (Outcome.DROPPED, Outcome.DROPPED)
    assert query(running.user, "SELECT name FROM users WHERE id = 1") == [("new",)]


def test_a_stale_batch_of_an_older_epoch_is_dropped_after_a_rollback(
    running: Session, legacy: Legacy
) -> None:
    """V4: the phase is dual_write again, the epoch is not the one that the batch was read at."""
    legacy.run("UPDATE users SET name = 'old' WHERE id = 1")
    late = batch_of(running)
    for engine in (running.user, running.auth):
        follow(engine, 2)
    assert apply(running, late) == (Outcome.DROPPED, Outcome.DROPPED)


def test_a_database_that_is_behind_the_file_follows_it(running: Session, legacy: Legacy) -> None:
    legacy.run("UPDATE migration_state SET epoch = 2")
    legacy.run("UPDATE users SET name = 'n' WHERE id = 1")
    drain(running)
    assert query(running.auth, "SELECT epoch FROM migration_phase") == [(2,)]
    assert same_on_both_sides(running, legacy)


def test_a_file_that_went_back_in_time_stops_the_appliers(running: Session, legacy: Legacy) -> None:
    legacy.run("DELETE FROM migration_log")
    legacy.run("UPDATE sqlite_sequence SET seq = 1 WHERE name = 'migration_log'")
    with pytest.raises(Blocked, match="cursor_beyond_file"):
        drain(running)


def test_missing_triggers_stop_the_appliers(running: Session, legacy: Legacy) -> None:
    legacy.run("DROP TRIGGER migration_capture_users_delete")
    with pytest.raises(Blocked, match="capture_outdated"):
        drain(running)


def test_another_file_is_not_applied_to_these_databases(running: Session, legacy: Legacy) -> None:
    legacy.run("UPDATE migration_state SET file_id = 'another'")
    legacy.run("UPDATE users SET name = 'n' WHERE id = 1")
    with pytest.raises(Blocked, match="other_file"):
        drain(running)


def test_a_row_that_postgresql_cannot_hold_is_in_neither_database_and_noted_in_both(
    running: Session, legacy: Legacy
) -> None:
    legacy.run("UPDATE users SET name = CAST(x'610062' AS TEXT) WHERE id = 1")
    drain(running)
    for engine in (running.user, running.auth):
        assert query(engine, "SELECT key, column_name, raw FROM migration_rejects")[0][:2] == (1, "name")
    assert sorted(accounts_of(running.user, running.auth)) == [2, 3]
    legacy.run("UPDATE users SET name = 'mended' WHERE id = 1")
    drain(running)
    assert query(running.auth, "SELECT count(*) FROM migration_rejects") == [(0,)]
    assert same_on_both_sides(running, legacy)


def test_the_bulk_of_old_accounts_makes_no_event_and_each_later_change_makes_its_own(
    running: Session, legacy: Legacy
) -> None:
    assert events(running.user) == []
    assert events(running.auth) == []
    legacy.add("dan")
    legacy.run("UPDATE users SET name = 'Ann', email = 'ann@example.org' WHERE id = 1")
    legacy.run("UPDATE users SET password = 'new hash' WHERE id = 2")
    legacy.run("INSERT INTO migration_log (key, kept_token) VALUES (2, 'token-7')")
    legacy.run("REPLACE INTO users (id, email, password, name) VALUES (3, 'cat@example.com', 'x', 'cat')")
    drain(running)
    assert events(running.user) == [
        ("user.registered", 4, {"user_id": 4, "email": "dan@example.com", "name": "dan"}),
        (
            "user.profile.updated",
            1,
            {
                "user_id": 1,
                "changes": {
                    "email": {"old": "ann@example.com", "new": "ann@example.org"},
                    "name": {"old": "ann", "new": "Ann"},
                },
            },
        ),
    ]
    assert events(running.auth) == [
        ("user.password.changed", 2, {"user_id": 2, "kept_token": "token-7"}),
        ("user.password.changed", 3, {"user_id": 3, "kept_token": None}),
    ]


def test_an_event_comes_once_however_often_a_batch_is_applied(running: Session, legacy: Legacy) -> None:
    legacy.add("dan")
    batch = batch_of(running)
    for _ in range(3):
        apply(running, batch)
    drain(running)
    assert [kind for kind, _, _ in events(running.user)] == ["user.registered"]


@BOTH_MODES
def test_a_monolith_transaction_in_flight_is_not_seen_half(running: Session, legacy: Legacy) -> None:
    legacy.run("BEGIN IMMEDIATE")
    legacy.run("UPDATE users SET name = 'half' WHERE id = 1")
    drain(running)
    assert _name(running.user) == "ann"
    legacy.run("UPDATE users SET name = 'whole' WHERE id = 1")
    legacy.run("COMMIT")
    drain(running)
    assert _name(running.user) == "whole"


@BOTH_MODES
def test_a_backlog_is_applied_batch_by_batch(running: Session, legacy: Legacy) -> None:
    legacy.run(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
        " INSERT INTO users (email, password) SELECT 'u' || i, 'x' FROM n"
    )
    progress = catch_up(running.file, running.targets)
    assert (progress.reached, progress.batches) == (Reached.END, 3)
    assert same_on_both_sides(running, legacy)


def _name(engine: Engine) -> str:
    found: str = query(engine, "SELECT name FROM users WHERE id = 1")[0][0]
    return found


def test_a_batch_that_begins_beyond_a_database_is_not_applied_to_it(running: Session, legacy: Legacy) -> None:
    """The database was put back from a backup: what lies between must not be skipped."""
    legacy.run("UPDATE users SET name = 'n' WHERE id = 1")
    query(running.user, "UPDATE migration_phase SET cursor = 0")
    assert apply(running, batch_of(running, after=3))[0] is Outcome.STALE


@BOTH_MODES
def test_a_locked_file_does_not_stop_reading_its_log(running: Session, legacy: Legacy) -> None:
    legacy.run("UPDATE users SET name = 'n' WHERE id = 1")
    holder = sqlite3.connect(legacy.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        assert drain(running).reached is Reached.END
    finally:
        holder.close()
    assert _name(running.user) == "n"
