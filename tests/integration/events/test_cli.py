"""`flask events`: what it shows, what it refuses, and what its exit code says."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine

from devstack.postgres import Postgres
from service_kit.db import engine_for
from service_kit.events import cursors
from service_kit.events.cli import events_group
from service_kit.events.loop import Loop
from service_kit.events.sequencer import Sequencer
from service_kit.events.status import readiness
from tests.support.environment import service_environment
from tests.support.events import (
    consumer,
    forget,
    insert_raw,
    make_database,
    publish,
    reader,
    rows,
    running,
    scalar,
    seen,
    sequence,
    states,
)
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]
KEYS = ["command", "ok", "phase", "data", "issues", "next_steps"]


@dataclass(frozen=True)
class Stage:
    """The stores of both services, and how to ask the command line about them."""

    user: Engine
    auth: Engine
    environ: dict[str, str]

    def ask(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """The object that `flask events ... --json` prints; its exit code must be `code`."""
        result = CliRunner().invoke(events_group, [*arguments, "--json"], env=self.environ)
        assert result.exit_code == code, result.output
        answer: dict[str, Any] = json.loads(result.stdout)
        assert list(answer) == KEYS
        assert answer["ok"] == (code == 0)
        return answer

    def codes(self, *arguments: str, code: int = 1) -> set[str]:
        """The issues' codes."""
        return {issue["code"] for issue in self.ask(*arguments, code=code)["issues"]}


@pytest.fixture
def stage(engine: Engine, postgres: Postgres) -> Iterator[Stage]:
    """`engine` is the user service's."""
    auth = engine_for(make_database(postgres), name="tests")
    urls = {
        "user_database_url": engine.url.render_as_string(hide_password=False),
        "auth_database_url": auth.url.render_as_string(hide_password=False),
    }
    urls["migration_database_url"] = urls["user_database_url"]
    yield Stage(engine, auth, service_environment(urls, redis_url="redis://127.0.0.1:1"))
    auth.dispose()
    postgres.drop_database(str(auth.url.database))


def processes(stage: Stage, **more: Any) -> list[Loop]:
    """What the events processes of both services run."""
    return [*(Sequencer(each, lambda: None) for each in (stage.user, stage.auth)), reader(stage.user, **more)]


def caught_up(engine: Engine) -> Callable[[], bool]:
    return lambda: bool(
        scalar(
            engine,
            "SELECT count(*) = 1 FROM event_consumers, event_head WHERE position = last_position AND position > 0"
            " AND NOT EXISTS (SELECT FROM event_failures WHERE state = 'retry')"
            " AND NOT EXISTS (SELECT FROM events WHERE events.position IS NULL)",
        )
    )


def fail_once(stage: Stage) -> None:
    """User 7's first event is a dead letter, the second one waits, user 8's is handled."""
    publish(stage.user, [7], act="raise")
    publish(stage.user, [7, 8])
    with running(*processes(stage)):
        wait_until(caught_up(stage.user), 10)


def test_status_of_stores_that_nobody_serves_is_an_error(stage: Stage) -> None:
    assert stage.codes("status") == {"sequencer_silent"}


def test_status_shows_head_lag_and_signs_of_life_and_is_content(stage: Stage) -> None:
    publish(stage.user, [1, 2, 3])
    with running(*processes(stage)):
        wait_until(caught_up(stage.user), 10)
        [user, auth] = stage.ask("status")["data"]["services"]
    assert (user["service"], user["head"], user["first"], auth["head"]) == ("user", 3, 1, 0)
    assert user["unsequenced"] == {"count": 0, "age_seconds": None}
    assert user["sequencer"]["heartbeat_age_seconds"] < 5
    [seen_by] = user["consumers"]
    assert (seen_by["position"], seen_by["lag_events"], seen_by["lag_seconds"]) == (3, 0, 0.0)
    assert seen_by["heartbeat_age_seconds"] < 5
    assert seen_by["last_processed_event_id"] == scalar(
        stage.user, "SELECT event_id::text FROM events WHERE id = 3"
    )


def test_status_counts_what_waits_and_since_when(stage: Stage) -> None:
    with running(*processes(stage)):
        publish(stage.user, [1])
        wait_until(caught_up(stage.user), 10)
    publish(stage.user, [1, 2])
    sequence(stage.user)
    publish(stage.user, [3])
    scalar(stage.user, "SELECT pg_sleep(0.1)")
    assert stage.codes("status", "--max-lag", "0.05") == {"lag"}
    [user, _] = stage.ask("status")["data"]["services"]
    assert user["unsequenced"]["count"] == 1
    assert user["consumers"][0]["lag_events"] == 2
    assert 0.1 <= user["consumers"][0]["lag_seconds"] < 30


def test_a_dead_letter_is_an_error_in_the_status_and_listed_with_its_cause(stage: Stage) -> None:
    fail_once(stage)
    assert stage.codes("status") == {"dead_letters"}
    answer = stage.ask("dead")
    [dead] = answer["data"]["events"]
    assert (dead["service"], dead["consumer_id"], dead["position"]) == ("user", "tests.seen", 1)
    assert (dead["key"], dead["state"], dead["attempts"], dead["waiting"]) == ("user:7", "dead", 3, 1)
    assert dead["error"] == "ValueError: this event cannot be handled"
    assert dead["event"]["data"]["act"] == "raise"
    assert "traceback" not in dead
    assert "raise ValueError" in stage.ask("dead", "--traceback")["data"]["events"][0]["traceback"]
    assert stage.ask("dead", "--consumer", "other")["data"]["events"] == []
    assert any("requeue" in step for step in answer["next_steps"])


def test_requeue_gives_the_attempts_again(stage: Stage) -> None:
    fail_once(stage)
    with stage.user.begin() as connection:
        connection.exec_driver_sql("INSERT INTO healed VALUES ('x')")
    arguments = ("requeue", "--consumer", "tests.seen")
    assert stage.ask(*arguments, "--position", "1")["data"]["positions"] == [1]
    with running(*processes(stage)):
        wait_until(lambda: states(stage.user) == {}, 10)
    assert [user for user, _ in seen(stage.user)] == [8, 7, 7]
    assert stage.codes(*arguments, "--all") == {"nothing_to_requeue"}


def test_discard_wants_a_reason_and_notes_who(stage: Stage) -> None:
    fail_once(stage)
    arguments = ("discard", "--consumer", "tests.seen", "--position", "1")
    assert CliRunner().invoke(events_group, arguments, env=stage.environ).exit_code == 2
    by = stage.ask(*arguments, "--reason", "a test")["data"]["by"]
    trace = rows(
        stage.user, "SELECT state, decided_by, decision_reason FROM event_failures WHERE position = 1"
    )
    assert trace == [("discarded", by, "a test")]
    assert by
    assert stage.codes(*arguments, "--reason", "again") == {"not_found"}


def test_replay_rebuilds_and_waits_until_it_is_done(stage: Stage) -> None:
    publish(stage.user, range(20))
    with running(*processes(stage, what=consumer(reset=forget))):
        wait_until(caught_up(stage.user), 10)
        with stage.user.begin() as connection:
            connection.exec_driver_sql("DELETE FROM seen WHERE n > 3")
        answer = stage.ask("replay", "--consumer", "tests.seen", "--from", "0", "--wait", "10")
    assert answer["data"] == {"consumer_id": "tests.seen", "from": 1, "head": 20, "done": True}
    assert [user for user, _ in seen(stage.user)] == list(range(20))


def test_replay_of_a_consumer_that_cannot_be_is_refused_and_changes_nothing(stage: Stage) -> None:
    publish(stage.user, range(20))
    with running(*processes(stage)):
        wait_until(caught_up(stage.user), 10)
        assert stage.codes("replay", "--consumer", "tests.seen", "--from", "1") == {"not_replayable"}
    assert scalar(stage.user, "SELECT replay_from FROM event_consumers") is None


def test_a_consumer_retires_once_it_is_stopped_and_has_nothing_open(stage: Stage) -> None:
    publish(stage.user, [7], act="raise")
    name = consumer().name
    with running(*processes(stage)):
        wait_until(caught_up(stage.user), 10)
        assert stage.codes("retire", "--consumer", name) == {"not_retirable"}
    assert stage.codes("retire", "--consumer", name) == {"not_retirable"}  # a dead letter is left
    stage.ask("discard", "--consumer", name, "--position", "1", "--reason", "a test")
    assert stage.ask("retire", "--consumer", name)["data"]["position"] == 1
    assert scalar(stage.user, "SELECT count(*) FROM event_consumers") == 0
    assert stage.codes("retire", "--consumer", name) == {"unknown_consumer"}


def test_a_reader_of_the_feed_retires_and_no_event_is_kept_for_it(stage: Stage) -> None:
    with stage.auth.begin() as connection:
        connection.exec_driver_sql("INSERT INTO event_readers VALUES ('reports.daily', 3, now())")
    assert stage.ask("retire", "--consumer", "reports.daily")["data"]["read_from"] == ["auth"]
    assert scalar(stage.auth, "SELECT count(*) FROM event_readers") == 0


def test_the_relay_never_retires(stage: Stage) -> None:
    with stage.user.begin() as connection:
        cursors.register(connection, cursors.RELAY, "user", 0)
    assert stage.codes("retire", "--consumer", cursors.RELAY) == {"not_retirable"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("requeue", "--all"),
        ("discard", "--position", "1", "--reason", "x"),
        ("replay", "--from", "1"),
    ],
)
def test_a_consumer_that_never_ran_is_named(stage: Stage, arguments: tuple[str, ...]) -> None:
    assert stage.codes(*arguments, "--consumer", "nobody") == {"unknown_consumer"}


def test_requeue_wants_exactly_one_selection(stage: Stage) -> None:
    for extra in ([], ["--all", "--position", "3"]):
        arguments = ["requeue", "--consumer", "tests.seen", *extra]
        assert CliRunner().invoke(events_group, arguments, env=stage.environ).exit_code == 2


def test_parked_events_are_shown_as_a_warning(stage: Stage) -> None:
    insert_raw(stage.user, "user.moved", "1.0", 1)
    with running(*processes(stage)):
        wait_until(caught_up(stage.user), 10)
        assert stage.codes("status", code=0) == {"parked"}
    assert stage.ask("dead")["data"]["events"][0]["state"] == "parked"


def test_a_store_out_of_reach_is_named_and_the_other_one_shown(stage: Stage) -> None:
    away = stage.environ | {"AUTH_DATABASE_URL": "postgresql://u:secret-word@127.0.0.1:9/x"}
    result = CliRunner().invoke(events_group, ["status", "--json"], env=away)
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert "store_unreachable" in {issue["code"] for issue in answer["issues"]}
    assert [state["service"] for state in answer["data"]["services"]] == ["user"]
    assert "secret-word" not in result.output


def test_flask_finds_the_group_and_prints_for_people(stage: Stage) -> None:
    fail_once(stage)
    command = [str(Path(sys.executable).parent / "flask"), "events", "status"]
    result = subprocess.run(command, cwd=ROOT, env=stage.environ, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "user store: head 3" in result.stdout
    assert "1 waiting, 1 dead" in result.stdout
    assert "error: dead_letters: tests.seen has 1 dead letters" in result.stderr


def test_settings_that_are_missing_are_a_wrong_usage() -> None:
    bare = {name: "" for name in os.environ if name.endswith("_URL")} | {
        "STACK_ENV_FILE": "",
        "REDIS_URL": "",
    }
    result = CliRunner().invoke(events_group, ["status"], env=bare)
    assert result.exit_code == 2
    assert "USER_DATABASE_URL" in result.output


def test_readiness_tells_the_same_without_a_command(stage: Stage) -> None:
    fail_once(stage)
    details = readiness(stage.user, "user")
    assert (details["events"], details["breaches"], details["head"]) == ("behind", ["dead_letters"], 3)
    assert details["consumers"][0]["dead"] == 1
    assert '"owner"' not in json.dumps(details), "whoever reaches /readyz learns the host's name"
