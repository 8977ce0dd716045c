"""Cutover, rollback, undo and finish: whatever was acknowledged is on the side that is the truth."""

import json
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection

from migration.answer import Refused
from migration.batch import Blocked
from migration.cutover import Prepared, prepare, switch
from migration.drain import drain
from migration.dual_write import resync, start
from migration.finish import finish
from migration.prune import prune
from migration.reverse import apply_reverse, waiting_entries
from migration.rollback import complete_rollback, roll_back
from migration.session import Session
from migration.stamp import move_phase
from migration.undo import abandon_rollback
from service_kit.truth.legacy_file import VERIFIED
from service_kit.truth.phase import fence, follow
from tests.integration.migration_protocol.moving import (
    BUDGET_MS,
    Services,
    cut_over,
    declare_verified,
    dual_write,
    go_back,
    services_of,
)
from tests.integration.migration_protocol.support import BOTH_MODES, Legacy, accounts_of, events, query
from tests.support.waiting import wait_until

_WAITING_FOR_LOCKS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
def running(session: Session, legacy: Legacy) -> Session:
    """Dual write, everything on both sides."""
    dual_write(session, legacy)
    return session


@pytest.fixture
def services(running: Session) -> Services:
    return services_of(running)


def phases(session: Session) -> list[tuple[int, bool]]:
    """(epoch, fenced) of user_db and auth_db."""
    rows = [
        query(engine, "SELECT epoch, fenced FROM migration_phase")[0]
        for engine in (session.user, session.auth)
    ]
    return [(row[0], row[1]) for row in rows]


def in_file(legacy: Legacy, key: int) -> tuple[str, str, str | None]:
    """email, password, name"""
    return legacy.accounts()[key][:3]


def test_a_write_goes_to_the_file_before_the_cutover_and_to_postgresql_after_it(
    running: Session, services: Services, legacy: Legacy
) -> None:
    assert services.rename(1, "before") == "file"
    done = cut_over(running)
    assert done.epoch == 1
    assert services.rename(1, "after") == "database"
    assert services.change_password(1, "new") == "database"
    assert accounts_of(running.user, running.auth)[1][1:3] == ("new", "after")
    assert in_file(legacy, 1)[2] == "before"


@BOTH_MODES
def test_every_write_up_to_the_cutover_is_in_postgresql(running: Session, legacy: Legacy) -> None:
    declare_verified(running)
    prepared = prepare(running)
    legacy.run("DELETE FROM users WHERE id = 2")
    legacy.add("late")
    switch(running, prepared, BUDGET_MS)
    assert accounts_of(running.user, running.auth) == legacy.accounts()


@BOTH_MODES
def test_the_legacy_server_is_refused_by_the_file_after_the_cutover(running: Session, legacy: Legacy) -> None:
    cut_over(running)
    with pytest.raises(sqlite3.IntegrityError, match="moved to PostgreSQL"):
        legacy.add("dan")


def test_ids_continue_above_every_id_that_ever_existed(
    running: Session, services: Services, legacy: Legacy
) -> None:
    legacy.run("DELETE FROM users WHERE id = ?", legacy.add("gone"))
    cut_over(running)
    assert services.register("eve") == 5
    query(running.user, "SELECT nextval('users_id_seq')")
    go_back(running)
    assert legacy.add("fay") == 7
    drain(running)
    cut_over(running)
    assert services.register("gil") == 8


def test_sequences_never_go_back(running: Session, legacy: Legacy) -> None:
    """V11: the file's counter is lower than what PostgreSQL has given."""
    query(running.user, "SELECT setval('users_id_seq', 1000)")
    cut_over(running)
    assert query(running.user, "SELECT nextval('users_id_seq')") == [(1001,)]


@BOTH_MODES
def test_a_rollback_brings_everything_back(running: Session, services: Services, legacy: Legacy) -> None:
    cut_over(running)
    services.rename(1, "Ann")
    services.change_password(2, "changed")
    services.register("eve")
    services.change_email(3, "moving@example.com")
    services.change_email(1, "cat@example.com")
    expected = accounts_of(running.user, running.auth)
    done = go_back(running)
    assert done.epoch == 2
    assert legacy.accounts() == expected
    assert phases(running) == [(2, False), (2, False)]
    assert services.rename(1, "file again") == "file"
    drain(running)
    assert accounts_of(running.user, running.auth) == legacy.accounts()


@BOTH_MODES
def test_the_reverse_applier_keeps_the_file_fresh_and_its_writes_are_not_captured(
    running: Session, services: Services, legacy: Legacy
) -> None:
    cut_over(running)
    entries = legacy.log()
    services.rename(1, "Ann")
    services.register("eve")
    assert apply_reverse(running).entries > 0
    assert legacy.accounts() == accounts_of(running.user, running.auth)
    assert legacy.log() == entries
    assert waiting_entries(running) == {"user_db": 0, "auth_db": 0}
    with pytest.raises(sqlite3.IntegrityError):
        legacy.add("still fenced")


def test_emails_swapped_in_postgresql_are_swapped_in_the_file(
    running: Session, services: Services, legacy: Legacy
) -> None:
    cut_over(running)
    query(
        running.user,
        "UPDATE users SET email = 'x' WHERE id = 1; UPDATE users SET email = 'ann@example.com' WHERE id = 2;"
        " UPDATE users SET email = 'bob@example.com' WHERE id = 1",
    )
    apply_reverse(running)
    assert (in_file(legacy, 1)[0], in_file(legacy, 2)[0]) == ("bob@example.com", "ann@example.com")


def test_a_late_reverse_applier_does_not_touch_the_file_after_a_rollback(
    running: Session, services: Services, legacy: Legacy
) -> None:
    """V6"""
    cut_over(running)
    services.rename(1, "in postgresql")
    go_back(running)
    services.rename(1, "in the file")
    query(running.user, "INSERT INTO migration_reverse_log (key) VALUES (1)")
    assert not apply_reverse(running).active
    assert in_file(legacy, 1)[2] == "in the file"


def test_a_slow_transaction_with_an_early_number_is_not_skipped(
    running: Session, services: Services, legacy: Legacy
) -> None:
    """V12"""
    cut_over(running)
    slow = running.user.connect()
    slow.exec_driver_sql("UPDATE users SET name = 'slow' WHERE id = 1")
    services.rename(2, "quick")
    apply_reverse(running)
    slow.commit()
    slow.close()
    apply_reverse(running)
    assert (in_file(legacy, 1)[2], in_file(legacy, 2)[2]) == ("slow", "quick")


def test_the_rollback_waits_for_a_write_that_saw_the_open_row_and_keeps_it(
    running: Session, services: Services, legacy: Legacy
) -> None:
    """V5"""
    cut_over(running)
    entered, leave = threading.Event(), threading.Event()

    def slow(connection: Connection) -> str:
        connection.exec_driver_sql("UPDATE users SET name = 'slow' WHERE id = 1")
        entered.set()
        assert leave.wait(30)
        return "database"

    writer = threading.Thread(target=lambda: services.user.write(lambda _: "file", slow))
    writer.start()
    assert entered.wait(30)
    coordinator = threading.Thread(target=lambda: roll_back(running, 1, BUDGET_MS))
    coordinator.start()
    wait_until(lambda: query(running.user, _WAITING_FOR_LOCKS) == [(1,)])
    assert running.file.state().epoch == 1
    leave.set()
    writer.join(30)
    coordinator.join(30)
    assert running.file.state().epoch == 2
    assert in_file(legacy, 1)[2] == "slow"


def test_no_read_goes_back_in_time_around_a_rollback(
    running: Session, services: Services, legacy: Legacy
) -> None:
    """V14: with one database fenced, and behind the un-fence, for a process that has read in PostgreSQL before."""

    def name() -> str:
        def on_database(connection: Connection) -> str:
            found: str = connection.exec_driver_sql("SELECT name FROM users WHERE id = 1").scalar_one()
            return found

        return services.user.read(_name_in_file, on_database)

    cut_over(running)
    services.rename(1, "new")
    assert name() == "new"
    fence(running.user, 1)
    assert name() == "new"
    assert in_file(legacy, 1)[2] == "ann"
    roll_back(running, 1, BUDGET_MS)
    assert name() == "new"
    services.rename(1, "newer")
    assert name() == "newer"
    drain(running)
    cut_over(running)
    assert name() == "newer"


def _name_in_file(connection: sqlite3.Connection) -> str:
    found: str = connection.execute("SELECT name FROM users WHERE id = 1").fetchone()[0]
    return found


def test_a_pending_registration_is_settled_by_the_rollback(
    running: Session, services: Services, legacy: Legacy
) -> None:
    """V10: one has its credential and becomes whole, the other is given up and its email is free."""
    cut_over(running)
    whole = services.register_pending("whole")
    assert services.put_credential(whole, "hash of whole")
    half = services.register_pending("half")
    assert go_back(running).settled == 2
    assert in_file(legacy, whole) == ("whole@example.com", "hash of whole", "whole")
    assert half not in legacy.accounts()
    assert ("user.registered", whole) in [event[:2] for event in events(running.user)]
    assert legacy.run("SELECT 1 FROM users WHERE email = 'half@example.com'") == []


def test_a_client_whose_registration_was_given_up_cannot_complete_it_later(
    running: Session, services: Services, legacy: Legacy
) -> None:
    """V11"""
    cut_over(running)
    half = services.register_pending("half")
    go_back(running)
    other = legacy.add("other")
    assert other > half
    drain(running)
    cut_over(running)
    assert not services.put_credential(half, "too late")


def test_two_coordinators_cut_over_once(running: Session, legacy: Legacy) -> None:
    declare_verified(running)
    prepared = prepare(running)
    outcomes = _together(*[lambda: switch(running, prepared, BUDGET_MS).epoch] * 2)
    assert sorted(map(str, outcomes)) == ["1", "not_its_turn: The phase is cutover now, no longer verified."]


@BOTH_MODES
def test_two_coordinators_roll_back_once(running: Session, services: Services, legacy: Legacy) -> None:
    """V7: the second one's un-fence must find another epoch, also after another cutover."""
    cut_over(running)
    services.rename(1, "kept")
    outcomes = _together(*[lambda: roll_back(running, 1, BUDGET_MS).epoch] * 2)
    state = running.file.state()
    assert outcomes.count(2) <= 1
    if 2 in outcomes:
        assert (state.epoch, state.phase) == (2, "dual_write")
        assert in_file(legacy, 1)[2] == "kept"
    else:  # each undid the other's fence: PostgreSQL is the truth under a newer epoch
        assert state.epoch % 2 == 1
        assert services.rename(1, "goes on") == "database"
    with pytest.raises(Refused):
        roll_back(running, 1, BUDGET_MS)
    assert running.file.state() == state


def test_a_late_flip_of_an_older_epoch_changes_nothing(running: Session, services: Services) -> None:
    """V1, V2: a service saw the fence of epoch 1 and wakes up after rollback and another cutover."""
    cut_over(running)
    go_back(running)
    follow(running.user, 1)
    assert phases(running)[0] == (2, False)
    drain(running)
    cut_over(running)
    follow(running.user, 1)
    assert phases(running) == [(3, False), (3, False)]


def test_a_rollback_that_finds_no_lock_in_time_is_undone_and_service_goes_on(
    running: Session, services: Services, legacy: Legacy
) -> None:
    """V9"""
    cut_over(running)
    holder = running.auth.connect()
    holder.exec_driver_sql("SELECT pg_advisory_xact_lock_shared(1296498689)")
    holder.exec_driver_sql("SELECT 1 FROM migration_phase")
    with pytest.raises(Refused):
        roll_back(running, 1, 400)
    holder.close()
    assert (running.file.state().epoch, running.file.state().phase) == (3, "cutover")
    assert services.rename(1, "goes on") == "database"
    assert services.change_password(1, "goes on") == "database"
    assert go_back(running).epoch == 4
    assert in_file(legacy, 1)[1:] == ("goes on", "goes on")


def test_an_abandoned_rollback_is_undone_by_the_services(running: Session, legacy: Legacy) -> None:
    """V9: the coordinator died after its first fence."""
    cut_over(running)
    fence(running.user, 1)
    impatient = services_of(running, undo_after=0.2)
    assert impatient.rename(1, "goes on") == "database"
    assert running.file.state().epoch == 3


def test_an_abandoned_rollback_does_not_stop_finish(running: Session, services: Services) -> None:
    cut_over(running)
    fence(running.user, 1)
    finish(running)
    assert phases(running) == [(3, False), (3, False)]
    assert services.rename(1, "finished") == "database"


def test_the_undo_moves_the_epoch_once(running: Session) -> None:
    cut_over(running)
    fence(running.user, 1)
    abandon_rollback(running, 1)
    abandon_rollback(running, 1)
    assert running.file.state().epoch == 3
    assert phases(running) == [(3, False), (3, False)]


@BOTH_MODES
def test_finish_keeps_the_fence_for_ever_and_ends_capture(
    running: Session, services: Services, legacy: Legacy
) -> None:
    """V8"""
    cut_over(running)
    services.rename(1, "kept")
    done = finish(running)
    with pytest.raises(sqlite3.IntegrityError, match="moved to PostgreSQL"):
        legacy.add("dan")
    assert legacy.run("SELECT name FROM sqlite_master WHERE name LIKE 'migration_capture%'") == []
    assert in_file(legacy, 1)[2] == "kept"
    services.rename(1, "later")
    assert query(running.user, "SELECT count(*) FROM migration_reverse_log") == [(0,)]
    report = json.loads(Path(done.report).read_text())
    assert (report["users"], report["credentials"], report["epoch"]) == (3, 3, 3)
    with pytest.raises(Refused, match="moved_on"):
        go_back(running)


def test_finish_can_be_run_again_and_puts_a_torn_down_fence_up(running: Session, legacy: Legacy) -> None:
    cut_over(running)
    assert finish(running).epoch == 3
    legacy.run("DROP TRIGGER migration_fence_users_insert")
    assert finish(running).epoch == 3
    with pytest.raises(sqlite3.IntegrityError, match="moved to PostgreSQL"):
        legacy.add("dan")


def test_finish_is_refused_while_the_file_is_the_truth(running: Session) -> None:
    with pytest.raises(Refused, match="not_its_turn"):
        finish(running)


def test_cutover_is_refused_while_a_reject_is_not_accepted(running: Session, legacy: Legacy) -> None:
    legacy.run("UPDATE users SET name = x'00' WHERE id = 1")
    drain(running)
    with pytest.raises(Refused, match="rejects_open"):
        cut_over(running)
    for engine in (running.user, running.auth):
        query(engine, "UPDATE migration_rejects SET accepted_at = now(), accepted_by = 'me'")
    assert cut_over(running).epoch == 1


def test_a_reject_that_turns_up_under_the_lock_stops_the_cutover(running: Session, legacy: Legacy) -> None:
    declare_verified(running)
    prepared = prepare(running)
    legacy.run("UPDATE users SET name = x'00' WHERE id = 1")
    with pytest.raises(Refused, match="rejects_open"):
        switch(running, prepared, BUDGET_MS)
    assert running.file.state().epoch == 0
    legacy.run("UPDATE users SET name = 'fine' WHERE id = 1")


def test_a_left_behind_row_gives_way_to_a_client_that_took_its_email(
    running: Session, services: Services, legacy: Legacy
) -> None:
    legacy.run("UPDATE users SET name = x'00' WHERE id = 1")
    drain(running)
    for engine in (running.user, running.auth):
        query(engine, "UPDATE migration_rejects SET accepted_at = now(), accepted_by = 'me'")
    cut_over(running)
    key = services.register("ann")
    go_back(running)
    assert in_file(legacy, key)[0] == "ann@example.com"
    assert legacy.run("SELECT id, email, password, name FROM migration_displaced") == [
        (1, "ann@example.com", "hash of ann", b"\x00")
    ]


def test_cutover_is_refused_when_the_estimate_is_over_the_budget(running: Session) -> None:
    declare_verified(running)
    with pytest.raises(Refused, match="over_budget"):
        switch(running, Prepared(round_ms=400, entries=0), 1000)


def test_a_cutover_that_takes_too_long_is_taken_back(running: Session, legacy: Legacy) -> None:
    declare_verified(running)
    prepared = Prepared(round_ms=1, entries=0)
    holder = running.auth.connect()
    holder.exec_driver_sql("SELECT pg_advisory_xact_lock(1296498691)")  # the appliers' lock
    legacy.run("UPDATE users SET name = 'n' WHERE id = 1")
    with pytest.raises(Refused):
        switch(running, prepared, 300)
    holder.close()
    assert (running.file.state().epoch, running.file.state().phase) == (0, "verified")
    legacy.run("UPDATE users SET name = 'not fenced' WHERE id = 1")
    drain(running)
    assert accounts_of(running.user, running.auth) == legacy.accounts()


@BOTH_MODES
def test_a_reader_that_keeps_the_file_busy_cannot_hold_writers_beyond_the_budget(
    running: Session, legacy: Legacy, journal_mode: str
) -> None:
    declare_verified(running)
    reader = sqlite3.connect(legacy.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM users").fetchall()
    try:
        if journal_mode == "delete":
            with pytest.raises(Refused, match="file_busy"):
                switch(running, Prepared(1, 0), 500)
            assert running.file.state().epoch == 0
        else:
            assert switch(running, Prepared(1, 0), BUDGET_MS).epoch == 1
    finally:
        reader.close()


def test_missing_capture_stops_the_cutover(running: Session, legacy: Legacy) -> None:
    declare_verified(running)
    prepared = prepare(running)
    legacy.run("DROP TRIGGER migration_capture_users_insert")
    with pytest.raises(Refused, match="capture_outdated"):
        switch(running, prepared, BUDGET_MS)


def test_a_killed_rollback_is_completed_from_its_commit(running: Session, services: Services) -> None:
    """The coordinator died between the file's commit and the databases."""
    cut_over(running)
    services.rename(1, "n")
    go_back(running)
    for engine in (running.user, running.auth):
        query(engine, "UPDATE migration_phase SET epoch = 1, fenced = true")
        query(engine, "INSERT INTO migration_reverse_log (key) VALUES (1)")
    assert services.rename(1, "file") == "file"
    assert complete_rollback(running, 2) == []
    assert phases(running) == [(2, False), (2, False)]
    assert sum(waiting_entries(running).values()) == 0


def test_a_verification_of_an_older_epoch_counts_for_nothing(running: Session, legacy: Legacy) -> None:
    legacy.run("DROP TRIGGER migration_capture_users_insert")
    start(running)
    assert move_phase(running.file, 0, ("dual_write",), VERIFIED) == "the file moved from epoch 0 to 2"


def test_a_database_that_is_in_use_is_not_taken(session: Session) -> None:
    follow(session.user, 1)
    query(session.user, "INSERT INTO users (email) VALUES ('somebody')")
    with pytest.raises(Refused, match="target_not_empty"):
        start(session)
    assert session.file.state().phase == "legacy"


def test_the_databases_of_another_file_are_not_taken(session: Session) -> None:
    query(session.user, "UPDATE migration_phase SET file_id = 'another'")
    with pytest.raises(Refused, match="other_file"):
        start(session)


def test_a_file_from_a_backup_is_taken_as_it_is_only_when_asked(running: Session, legacy: Legacy) -> None:
    legacy.run("DELETE FROM migration_log")
    legacy.run("UPDATE sqlite_sequence SET seq = 0 WHERE name = 'migration_log'")
    with pytest.raises(Blocked, match="cursor_beyond_file"):
        drain(running)
    declare_verified(running)
    resync(running)
    assert (running.file.state().epoch, running.file.state().phase) == (2, "dual_write")
    legacy.run("UPDATE users SET name = 'n' WHERE id = 1")
    drain(running)
    assert accounts_of(running.user, running.auth) == legacy.accounts()


def test_pruning_keeps_what_is_not_applied_and_numbers_go_on(running: Session, legacy: Legacy) -> None:
    """V13"""
    applied = running_cursor(running)
    legacy.run("UPDATE users SET name = 'waiting' WHERE id = 1")
    prune(running, keep_seconds=-1)
    assert legacy.log() == [(1, "u")]
    drain(running)
    prune(running, keep_seconds=-1)
    assert legacy.log() == []
    legacy.run("UPDATE users SET name = 'n' WHERE id = 1")
    assert legacy.run("SELECT seq FROM migration_log") == [(applied + 2,)]
    drain(running)
    assert accounts_of(running.user, running.auth) == legacy.accounts()


def test_a_database_from_a_backup_does_not_skip_pruned_entries(running: Session, legacy: Legacy) -> None:
    prune(running, keep_seconds=-1)
    query(running.user, "UPDATE migration_phase SET cursor = 0")
    with pytest.raises(Blocked, match="log_pruned"):
        drain(running)
    resync(running)
    legacy.run("UPDATE users SET name = 'n' WHERE id = 1")
    drain(running)


def running_cursor(session: Session) -> int:
    cursor: int = query(session.user, "SELECT cursor FROM migration_phase")[0][0]
    return cursor


def _together(*works: object) -> list[object]:
    """Runs them in threads; each one's value, or its refusal's text."""
    values: list[object] = []

    def call(work: object) -> None:
        try:
            values.append(work())  # type: ignore[operator]
        except Refused as refusal:
            values.append(str(refusal))

    threads = [threading.Thread(target=call, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return values
