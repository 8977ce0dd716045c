"""The whole stack: healthy after one command, mended by the same command, and gone without a trace after the other."""

import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from devstack import plan, process, sample
from devstack.ports import is_free
from devstack.stack import Stack
from tests.support.environment import service_environment


@pytest.fixture(scope="module")
def stack(servers_home: Path) -> Iterator[Stack]:
    """A complete stack with two user services, on free ports, in a folder with a space in its name."""
    stack = _stack(servers_home / "whole stack")
    try:
        stack.up()
        yield stack
    finally:
        stack.reset()


def _stack(home: Path) -> Stack:
    clean = {"PATH": os.environ["PATH"], "BCRYPT_COST": "4", "LOG_LEVEL": "INFO"}
    return Stack(home, ports="free", env=clean, instances={"user": 2}, durable=False, inherit=False)


def _call(url: str, body: dict[str, str] | None = None, token: str = "") -> tuple[int, dict[str, object]]:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _login(stack: Stack, email: str, password: str) -> int:
    return _call(f"{stack.url()}/api/login", {"email": email, "password": password})[0]


def _pids(stack: Stack) -> dict[str, int]:
    parts = [*stack.members.values(), stack.postgres.daemon, stack.redis.daemon]
    assert [part.name for part in parts if not part.running] == []
    return {part.name: part.pid or 0 for part in parts}


def _kill(pid: int) -> None:
    victim = psutil.Process(pid)
    victim.kill()
    process.wait_gone([victim], 10)


def _ports(stack: Stack) -> list[int]:
    ports = [port for member in stack.members.values() for port in member.spec.ports.values()]
    return [*ports, stack.postgres.port, stack.redis.port]


def _remains(stack: Stack) -> list[psutil.Process]:
    servers = [*stack.postgres.processes(), *stack.redis.processes()]
    return [*process.marked(f"{stack.id}/"), *servers]


def test_everything_is_healthy_and_every_address_answers(stack: Stack) -> None:
    assert set(stack.members) == {
        "gateway-1",
        "user-1",
        "user-2",
        "auth-1",
        "user-events",
        "auth-events",
        "worker-1",
        "beat",
        "flower",
    }
    assert {spec.kind for spec in (member.spec for member in stack.members.values())} == set(plan.KINDS)
    assert stack.ailments() == dict.fromkeys(stack.members, "")
    assert _call(f"{stack.url()}/api/health")[0] == 200
    with urllib.request.urlopen(f"{stack.url('flower')}/healthcheck", timeout=10) as answer:
        assert answer.status == 200


def test_users_of_the_sample_file_can_log_in(stack: Stack) -> None:
    assert _login(stack, "user7@example.com", sample.PASSWORD) == 200
    assert _login(stack, "user7@example.com", "wrong") == 401


def test_a_second_start_leaves_everything_as_it_is(stack: Stack) -> None:
    before = _pids(stack)
    _stack(stack.home).up()
    assert _pids(stack) == before


def test_a_second_start_replaces_only_what_was_killed(stack: Stack) -> None:
    before = _pids(stack)
    killed = ("gateway-1", "user-2", "worker-1", "beat", "redis")
    for name in killed:
        _kill(before[name])
    _stack(stack.home).up()
    after = _pids(stack)
    assert {name for name in after if after[name] != before[name]} == set(killed)
    assert _stack(stack.home).ailments() == dict.fromkeys(stack.members, "")


def test_data_and_secrets_outlive_a_stop_which_leaves_no_process_and_no_port(stack: Stack) -> None:
    user = {"email": "stays@example.com", "password": "some-password", "name": "Stays"}
    status, answer = _call(f"{stack.url()}/api/register", user)
    assert status == 201
    ports = _ports(stack)
    _stack(stack.home).down()
    assert _remains(stack) == []
    assert [port for port in ports if not is_free(port)] == []
    stack.up()
    assert _login(stack, "stays@example.com", "some-password") == 200
    token = str(answer["data"]["token"] if "data" in answer else answer["token"])  # type: ignore[index]
    assert _call(f"{stack.url()}/api/profile", token=token)[0] == 200


def test_a_stop_after_every_part_was_killed_leaves_nothing(stack: Stack) -> None:
    ports = _ports(stack)
    for pid in _pids(stack).values():
        _kill(pid)
    _stack(stack.home).down()
    assert _remains(stack) == []
    assert [port for port in ports if not is_free(port)] == []
    stack.up()
    assert _login(stack, "stays@example.com", "some-password") == 200


def test_a_stop_finds_processes_that_no_record_knows(stack: Stack) -> None:
    for record in (stack.home / "run").glob("*.json"):
        record.unlink()
    _stack(stack.home).down()
    assert _remains(stack) == []
    stack.up()


def test_logs_hold_neither_tokens_nor_passwords(stack: Stack) -> None:
    user = {"email": "quiet@example.com", "password": "correct-horse-battery", "name": "Quiet"}
    _call(f"{stack.url()}/api/register", user)
    assert _login(stack, "quiet@example.com", "correct-horse-battery") == 200
    logs = "".join(path.read_text(errors="replace") for path in (stack.home / "logs").glob("*.log"))
    assert "correct-horse-battery" not in logs
    assert stack.values["JWT_SECRET"] not in logs
    assert "eyJ" not in logs
    for name in ("USER_API_KEYS", "AUTH_API_KEYS", "GATEWAY_API_KEYS"):
        assert stack.values[name] not in logs


def test_removing_the_data_removes_the_folder(servers_home: Path) -> None:
    environ = {**service_environment(), "LEGACY_SQLITE_PATH": ""}
    stack = Stack(servers_home / "short", "free", environ, processes=("auth",), durable=False, inherit=False)
    stack.up()
    assert stack.ailments() == {"auth-1": ""}
    stack.reset()
    assert _remains(stack) == []
    assert not stack.home.exists()
