"""A whole stack taken from the legacy file to PostgreSQL by an operator's commands: what its users see, and what
becomes of it when the machine dies on the way.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
import requests

from devstack import process, sample
from devstack.schema import PROJECT
from devstack.stack import Stack
from tests.support import contract
from tests.support.waiting import wait_until

FLASK = (sys.executable, "-m", "flask", "migration")
THERE_AND_BACK = ("dual-write", "copy", "verify", "cutover", "rollback", "cutover", "finish")


@pytest.fixture
def stack(servers_home: Path, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A complete stack on a legacy file with as many users as the test asks for."""
    home = servers_home / request.node.name
    home.mkdir()
    home.chmod(0o711)
    sample.make(home / "legacy.db", request.param)
    settings = {
        "PATH": os.environ["PATH"],
        "BCRYPT_COST": "4",
        "LEGACY_SQLITE_PATH": str(home / "legacy.db"),
        "RATE_LIMIT_DEFAULT": "60000 per minute",
        "RATE_LIMIT_CREDENTIALS": "60000 per minute",
        "REDIS_TIMEOUT_MS": "500",
    }
    with Stack(home / "stack", ports="free", env=settings, inherit=False) as stack:
        yield stack


class User:
    """Somebody who logs in once and goes on using that session."""

    def __init__(self, stack: Stack, name: str) -> None:
        self._stack = stack
        self.email, self.password = f"{name}@example.com", f"secret of {name}"
        account = {"email": self.email, "password": self.password, "name": name}
        answer = self._send("POST", "/api/register", account)
        self._session = {"Authorization": f"Bearer {answer['token']}"}
        self.name = name

    def rename(self, name: str) -> None:
        """Acknowledged when it returns."""
        self._send("PUT", "/api/profile", {"name": name}, self._session)
        self.name = name

    def seen_name(self) -> str:
        answer = self._send("GET", "/api/profile", None, self._session)
        return str(answer["user"]["name"])

    def log_in(self) -> None:
        self._send("POST", "/api/login", {"email": self.email, "password": self.password})

    def _send(
        self, method: str, path: str, body: dict[str, str] | None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        url = self._stack.url() + path
        answer = requests.request(method, url, json=body, headers=headers, timeout=20)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        found: dict[str, Any] = answer.json()
        return found


def command(stack: Stack, name: str) -> dict[str, Any]:
    """Run `flask migration NAME`, which has to succeed."""
    done = subprocess.run(
        [*FLASK, name, "--json"],
        env=stack.environ(),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("stack", [2000], indirect=True)
def test_in_every_phase_the_contract_holds_sessions_go_on_and_reads_show_the_newest_write(
    stack: Stack,
) -> None:
    user = User(stack, "early")
    phases = []
    for number, name in enumerate(THERE_AND_BACK):
        user.rename(f"before {number}")
        phases.append(command(stack, name)["phase"])
        assert user.seen_name() == user.name
        user.rename(f"behind {number}")
        assert user.seen_name() == user.name
        user.log_in()
        assert list(contract.differences(stack.url())) == [], f"in phase {phases[-1]}"
    assert phases == ["dual_write", "copied", "verified", "cutover", "dual_write", "cutover", "finished"]


def machine_dies(stack: Stack, *more: subprocess.Popen[str]) -> None:
    """Every process at once, without a chance to say anything."""
    victims = [*process.marked(f"{stack.id}/"), *stack.postgres.processes(), *stack.redis.processes()]
    victims += [psutil.Process(one.pid) for one in more if one.poll() is None]
    process.kill_all(victims)
    assert process.wait_gone(victims, 10) == []
    for one in more:
        one.wait(10)


def chunks_done(stack: Stack) -> int:
    with (
        closing(psycopg2.connect(stack.values["MIGRATION_DATABASE_URL"])) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT count(*) FROM chunks WHERE state = 'done'")
        return int(cursor.fetchone()[0])  # type: ignore[index]


@pytest.mark.parametrize("stack", [200_000], indirect=True)
def test_when_the_machine_dies_the_same_commands_go_on_and_nothing_acknowledged_is_lost(stack: Stack) -> None:
    user = User(stack, "survivor")
    command(stack, "dual-write")
    copying = subprocess.Popen(
        [*FLASK, "copy", "--json"], env=stack.environ(), cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    wait_until(lambda: chunks_done(stack) > 0, 20)
    user.rename("in the middle of the copy")
    machine_dies(stack, copying)
    stack.up()
    assert user.seen_name() == user.name
    assert command(stack, "status")["phase"] == "dual_write"
    assert command(stack, "copy")["phase"] == "copied"
    assert command(stack, "verify")["data"]["differences"] == 0
    command(stack, "cutover")
    user.rename("right before it dies again")
    machine_dies(stack)
    stack.up()
    assert user.seen_name() == user.name
    user.log_in()
    command(stack, "rollback")
    assert user.seen_name() == user.name
    assert command(stack, "status")["data"]["rows"]["balanced"]
