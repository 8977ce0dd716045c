"""The whole way by commands, with a real Celery worker: there, back, there again without a new copy, and the end."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devstack.process import Daemon
from devstack.schema import PROJECT
from migration.session import Session
from tests.integration.migration_protocol.moving import services_of
from tests.integration.migration_protocol.support import Legacy, accounts_of, events
from tests.support.environment import service_environment

Command = Callable[..., dict[str, Any]]
_COMMAND = "import sys; from migration.cli.group import migration_group; migration_group(sys.argv[1:])"


@pytest.fixture
def environ(session: Session, database_urls: dict[str, str], redis_url: str) -> dict[str, str]:
    return service_environment(
        database_urls,
        legacy_sqlite_path=session.settings.legacy_sqlite_path,
        redis_url=redis_url,
        cutover_budget_ms=20000,
    )


@pytest.fixture
def worker(environ: dict[str, str], tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon("worker", tmp_path, tmp_path / "worker.log", str(tmp_path))
    daemon.start(
        [sys.executable, "-m", "celery", "--app", "celery_worker.app", "worker", "--pool", "solo"],
        environ,
        PROJECT,
    )
    yield daemon
    daemon.kill()


@pytest.fixture
def command(environ: dict[str, str]) -> Command:
    def run(*arguments: str, ok: bool = True) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", _COMMAND, *arguments, "--json"],
            cwd=PROJECT, env=environ, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        answer: dict[str, Any] = json.loads(done.stdout)
        assert answer["ok"] is ok, answer
        return answer

    return run


def test_there_and_back_and_there_again(
    session: Session, legacy: Legacy, worker: Daemon, command: Command
) -> None:
    for number in range(500):
        legacy.add(f"user{number}")
    services = services_of(session)
    command("dual-write")
    command("copy")
    assert command("cutover", ok=False)["next_steps"] == ["flask migration verify"]
    command("verify")
    command("cutover")
    assert services.rename(1, "in postgresql") == "database"
    key = services.register("eve")
    command("rollback")
    assert legacy.accounts()[1][2] == "in postgresql"
    assert legacy.accounts()[key][0] == "eve@example.com"
    legacy.run("UPDATE users SET name = 'in the file' WHERE id = 2")
    again = command("cutover")
    assert (again["phase"], again["data"]["epoch"]) == ("cutover", 3)
    assert accounts_of(session.user, session.auth) == legacy.accounts()
    assert command("status")["data"]["rows"]["source"] == 504
    assert command("finish")["phase"] == "finished"
    kinds = [kind for kind, _, _ in events(session.user)]
    assert kinds == ["user.profile.updated"], "the bulk copy makes no events"


def test_a_difference_stops_the_second_cutover(
    session: Session, legacy: Legacy, worker: Daemon, command: Command
) -> None:
    command("dual-write")
    command("copy")
    command("verify")
    command("cutover")
    command("rollback")
    with session.user.begin() as connection:
        connection.exec_driver_sql("SET LOCAL migration.applying = 'on'")
        connection.exec_driver_sql("UPDATE users SET name = 'changed behind the appliers' WHERE id = 1")
    refused = command("cutover", ok=False)
    assert [issue["code"] for issue in refused["issues"]] == ["differences"]
    assert refused["next_steps"] == ["flask migration verify --repair"]
    command("verify", "--repair")
    command("cutover")
