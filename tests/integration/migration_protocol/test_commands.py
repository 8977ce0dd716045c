"""`flask migration`: what each command answers, when it refuses, and its exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from click.testing import Result

from devstack.schema import PROJECT
from migration.cli.group import COMMANDS
from migration.drain import drain
from migration.session import Session
from tests.integration.migration_protocol.commands import Command, codes, verified
from tests.integration.migration_protocol.support import Legacy, query


def test_the_whole_way_and_back_by_commands(command: Command, session: Session, legacy: Legacy) -> None:
    answer = command("dual-write")
    assert (answer["ok"], answer["phase"], answer["data"]["capture"]) == (True, "dual_write", "installed")
    verified(session, legacy)
    rehearsal = command("cutover", "--dry-run")
    assert rehearsal["ok"] and rehearsal["data"]["estimate_ms"] < rehearsal["data"]["budget_ms"]
    assert session.file.state().epoch == 0
    done = command("cutover")
    assert (done["phase"], done["data"]["epoch"]) == ("cutover", 1)
    assert command("cutover")["data"]["already"] is True
    assert command("rollback")["phase"] == "dual_write"
    verified(session, legacy)
    assert command("cutover")["data"]["epoch"] == 3
    finished = command("finish")
    assert (finished["ok"], finished["phase"]) == (True, "finished")
    assert command("finish")["ok"]
    lines = [
        (line["actor"], line["action"], line["outcome"]) for line in command("history")["data"]["records"]
    ]
    assert ("olga", "cutover", "done") in lines and ("olga", "rollback", "started") in lines


@pytest.mark.parametrize(
    ("name", "next_step"),
    [
        ("cutover", ["flask migration dual-write"]),
        ("rollback", ["flask migration status"]),
        ("finish", ["flask migration cutover"]),
    ],
)
def test_a_command_that_is_not_on_its_turn_says_why_and_what_is(
    name: str, next_step: list[str], command: Command, session: Session
) -> None:
    answer = command(name)
    assert (answer["ok"], codes(answer), answer["next_steps"]) == (False, ["not_its_turn"], next_step)
    assert session.file.state().phase == "legacy"
    assert query(session.migration, "SELECT action, outcome FROM history") in (
        [(name, "refused")],
        [(name, "started"), (name, "refused")],
    )


def test_dual_write_is_refused_once_postgresql_is_the_truth(
    command: Command, session: Session, legacy: Legacy
) -> None:
    command("dual-write")
    verified(session, legacy)
    command("cutover")
    answer = command("dual-write")
    assert (answer["ok"], codes(answer)) == (False, ["not_its_turn"])


def test_a_cutover_over_its_budget_is_refused_and_changes_nothing(
    command: Command, session: Session, legacy: Legacy, environ: dict[str, str]
) -> None:
    command("dual-write")
    verified(session, legacy)
    environ["CUTOVER_BUDGET_MS"] = "1"
    for arguments in (("cutover", "--dry-run"), ("cutover",)):
        answer = command(*arguments)
        assert (answer["ok"], codes(answer)) == (False, ["over_budget"])
    assert session.file.state().epoch == 0


def test_status_shows_lag_rows_and_what_is_next(command: Command, session: Session, legacy: Legacy) -> None:
    assert command("status")["next_steps"] == ["flask migration dual-write"]
    command("dual-write")
    legacy.run("UPDATE users SET name = x'00' WHERE id = 1")
    legacy.run("UPDATE users SET name = name WHERE id <> 1")
    answer = command("status")
    assert answer["data"]["truth"] == "sqlite" and answer["data"]["captured"]
    assert answer["data"]["databases"]["user_db"]["lag_entries"] == 3
    assert answer["data"]["databases"]["user_db"]["lag_seconds"] > 0
    drain(session)
    assert command("status")["data"]["rows"] == {
        "source": 3,
        "user_db": 2,
        "auth_db": 2,
        "rejected": 1,
        "accepted": 0,
        "balanced": True,
    }


def test_status_compares_with_the_file_as_long_as_it_follows_and_says_when_changes_are_on_their_way(
    command: Command, invoke: Callable[..., Result], session: Session, legacy: Legacy
) -> None:
    command("dual-write")
    verified(session, legacy)
    command("cutover")
    with session.user.begin() as connection:
        connection.exec_driver_sql("INSERT INTO users (email, name) VALUES ('dan@example.com', 'dan')")
    assert (
        "source 3 ≠ target 4 + rejected 0 (0 accepted); credentials 3 (changes are on"
        in invoke("status").output
    )
    with session.user.begin() as connection:
        connection.exec_driver_sql("DELETE FROM users WHERE name = 'dan'")
    command("finish")
    assert command("status")["data"]["rows"]["balanced"] is None
    assert "rows: 3 users, 3 credentials in PostgreSQL" in invoke("status").output


def test_status_shows_what_is_broken_and_everything_that_is_not(
    command: Command, session: Session, legacy: Legacy, environ: dict[str, str]
) -> None:
    command("dual-write")
    legacy.run("DROP TRIGGER migration_capture_users_insert")
    environ["AUTH_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/none"
    answer = command("status")
    assert not answer["ok"]
    assert {"capture_outdated", "unreachable"} <= set(codes(answer))
    assert answer["data"]["databases"]["auth_db"] is None
    assert answer["data"]["databases"]["user_db"]["epoch"] == 0


def test_status_notices_a_file_that_was_put_back(command: Command, session: Session, legacy: Legacy) -> None:
    command("dual-write")
    verified(session, legacy)
    command("cutover")
    legacy.run("UPDATE migration_state SET epoch = 0, phase = 'dual_write'")
    assert "file_behind" in codes(command("status"))
    assert codes(command("dual-write")) == ["file_behind", "file_behind"]


def test_a_torn_down_fence_is_noticed_and_put_up_again(
    command: Command, session: Session, legacy: Legacy
) -> None:
    command("dual-write")
    verified(session, legacy)
    command("cutover")
    legacy.run("DROP TRIGGER migration_fence_users_insert")
    assert "fence_missing" in codes(command("status"))
    assert command("cutover")["data"]["fence"] == "put up again"
    assert command("status")["ok"]


def test_pause_and_resume_are_kept_and_shown(command: Command) -> None:
    assert command("pause")["data"]["paused_by"] == "olga"
    paused = command("status")
    assert paused["data"]["paused"] and "paused" in codes(paused)
    command("resume")
    assert not command("status")["data"]["paused"]


def test_people_get_lines_and_not_json(invoke: Callable[..., Result], legacy: Legacy) -> None:
    for arguments in (["status"], ["dual-write"], ["status"], ["history"], ["cutover"]):
        result = invoke(*arguments)
        assert result.exit_code in (0, 1)
        assert arguments[0] in result.stdout and not result.stdout.startswith("{")
    assert "next: flask migration copy" in invoke("cutover").stdout


def test_wrong_usage_has_an_exit_code_of_its_own(invoke: Callable[..., Result]) -> None:
    assert invoke("status", "--nonsense").exit_code == 2
    assert invoke("status", "--watch", "--json").exit_code == 2
    assert invoke("nonsense").exit_code == 2


def test_wrong_settings_are_all_named(invoke: Callable[..., Result], environ: dict[str, str]) -> None:
    environ["CUTOVER_BUDGET_MS"] = "soon"
    environ["USER_DATABASE_URL"] = ""
    answer = json.loads(invoke("status", "--json").stdout)
    assert (answer["ok"], len(answer["issues"])) == (False, 2)


def test_without_a_legacy_file_there_is_nothing_to_migrate(
    invoke: Callable[..., Result], environ: dict[str, str]
) -> None:
    environ["LEGACY_SQLITE_PATH"] = ""
    answer = json.loads(invoke("status", "--json").stdout)
    assert [issue["code"] for issue in answer["issues"]] == ["no_legacy_file"]


def test_plain_flask_finds_every_command(environ: dict[str, str]) -> None:
    flask = os.path.join(os.path.dirname(sys.executable), "flask")
    shown = subprocess.run(
        [flask, "migration", "--help"], cwd=PROJECT, env=environ, capture_output=True, text=True, check=True
    )
    assert [name for name in COMMANDS if f"  {name}" not in shown.stdout] == []
