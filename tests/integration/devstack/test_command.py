"""`make up` on a machine where something is wrong: it says all of it at once, and starts nothing."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from devstack import process
from devstack.ports import free_port
from devstack.schema import PROJECT
from devstack.stack import Stack
from tests.support.environment import service_environment


def _devstack(command: str, home: Path, **settings: object) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in service_environment(settings).items() if name not in _OWN}
    given = {name.upper(): str(value) for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "devstack", command, "--home", str(home)],
        env=clean | given,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


_OWN = {"JWT_SECRET", "GATEWAY_API_KEYS", "USER_API_KEYS", "AUTH_API_KEYS", "APP_ENV"}


def _ports() -> dict[str, int]:
    names = ("gateway_port", "gateway_metrics_port", "user_port", "auth_port", "flower_port")
    return {name: free_port() for name in names}


def _nothing_runs(home: Path) -> bool:
    return process.marked(f"{Stack(home).id}/") == []


def test_wrong_settings_and_taken_ports_come_in_one_message(tmp_path: Path) -> None:
    home = tmp_path / "a home"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        settings = {**_ports(), "user_port": taken, "bcrypt_cost": "many", "jwt_secret": "short"}
        done = _devstack("up", home, **settings, legacy_sqlite_path=tmp_path / "none.db")
    assert done.returncode == 1
    message = done.stderr
    assert message.startswith("Nothing was started:\n")
    assert "BCRYPT_COST should be a whole number from 4 to 16" in message
    assert "JWT_SECRET should be at least 32 bytes long" in message
    assert "LEGACY_SQLITE_PATH should name an existing file" in message
    assert f"Port {taken} (USER_PORT) is taken by process {os.getpid()} (" in message
    assert "Traceback" not in message
    assert _nothing_runs(home)


def test_a_given_server_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    dead = free_port()
    done = _devstack(
        "up",
        tmp_path / "home",
        **_ports(),
        user_database_url=f"postgresql://someone:hunter2@127.0.0.1:{dead}/users",
        redis_url=f"redis://:hunter2@127.0.0.1:{dead}/0",
    )
    assert done.returncode == 1
    assert "USER_DATABASE_URL leads to no usable database" in done.stderr
    assert "REDIS_URL leads to no usable server" in done.stderr
    assert "hunter2" not in done.stderr
    assert _nothing_runs(tmp_path / "home")


def test_two_settings_with_one_port_are_a_mistake(tmp_path: Path) -> None:
    port = free_port()
    done = _devstack("up", tmp_path / "home", **{**_ports(), "user_port": port, "auth_port": port})
    assert f"AUTH_PORT is {port}, which is USER_PORT as well" in done.stderr


def test_stopping_what_was_never_started_is_no_error(tmp_path: Path) -> None:
    for command in ("down", "reset"):
        done = _devstack(command, tmp_path / "home")
        assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "home").exists()


def test_removing_the_data_leaves_what_the_stack_did_not_make(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert _devstack("up", home, **_ports(), bcrypt_cost="99").returncode == 1
    (home / "mine.txt").write_text("mine")
    assert _devstack("reset", home).returncode == 0
    assert [path.name for path in home.iterdir()] == ["mine.txt"]


def test_status_of_a_stack_that_was_never_up(tmp_path: Path) -> None:
    done = _devstack("status", tmp_path / "home")
    assert done.returncode == 1
    assert done.stdout == "This stack has never been up.\n"


def test_an_unknown_command_is_wrong_usage(tmp_path: Path) -> None:
    assert _devstack("jump", tmp_path / "home").returncode == 2
