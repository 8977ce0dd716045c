"""A legacy file in both journal modes, two service databases, and a session over them."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from migration.capture import install
from migration.cli.group import migration_group
from migration.raw_file import RawFile
from migration.session import Session, open_session
from service_kit.settings import load
from tests.integration.migration_protocol.commands import Command
from tests.integration.migration_protocol.support import Legacy
from tests.support.environment import service_environment


@pytest.fixture
def journal_mode() -> str:
    """WAL; tests for which SQLite's locks matter ask for both modes with `support.BOTH_MODES`."""
    return "wal"


@pytest.fixture
def legacy(tmp_path: Path, journal_mode: str) -> Iterator[Legacy]:
    """The legacy server's file with three users, and the connection that the legacy server holds to it."""
    with Legacy(tmp_path / "users.db", journal_mode) as file:
        yield file


@pytest.fixture
def session(legacy: Legacy, database_urls: dict[str, str]) -> Iterator[Session]:
    """The toolkit's session on the file, before anything is installed."""
    environ = service_environment(
        database_urls,
        legacy_sqlite_path=legacy.path,
        redis_url="redis://127.0.0.1:1/0",
    )
    with open_session(load("worker", environ)) as opened:
        yield opened


@pytest.fixture
def file(legacy: Legacy) -> RawFile:
    """The file as the toolkit reads it, before anything is installed."""
    return RawFile(legacy.path)


@pytest.fixture
def captured(file: RawFile) -> RawFile:
    """The file after `dual-write`."""
    install(file)
    return file


@pytest.fixture
def environ(session: Session, database_urls: dict[str, str]) -> dict[str, str]:
    return service_environment(
        database_urls,
        legacy_sqlite_path=session.settings.legacy_sqlite_path,
        redis_url="redis://127.0.0.1:1/0",
        migration_actor="olga",
        cutover_budget_ms=20000,
    )


@pytest.fixture
def invoke(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    for name in list(os.environ):
        if name not in environ:
            monkeypatch.delenv(name)
    return lambda *arguments: CliRunner(env=environ).invoke(migration_group, list(arguments))


@pytest.fixture
def command(invoke: Callable[..., Result]) -> Command:
    """Runs a command with --json and returns its object; the exit code must fit `ok`."""

    def run(*arguments: str) -> dict[str, Any]:
        result = invoke(*arguments, "--json")
        answer: dict[str, Any] = json.loads(result.stdout)
        assert set(answer) == {"command", "ok", "phase", "data", "issues", "next_steps"}
        assert result.exit_code == (0 if answer["ok"] else 1)
        return answer

    return run
