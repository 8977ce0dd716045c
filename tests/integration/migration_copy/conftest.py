"""A legacy file of a few hundred users with capture on, and a session over it and fresh databases."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from migration import dual_write, passes
from migration.session import Session, open_session
from service_kit.settings import load
from tests.integration.migration_copy.support import make_file
from tests.support.environment import service_environment

USERS = 300


@pytest.fixture
def file_path(tmp_path: Path) -> Path:
    """Where the legacy file is."""
    return tmp_path / "users.db"


@pytest.fixture
def legacy(file_path: Path) -> Iterator[sqlite3.Connection]:
    """The legacy server's connection to a file of 300 plain users."""
    connection = make_file(file_path, USERS)
    yield connection
    connection.close()


@pytest.fixture
def environ(
    file_path: Path,
    legacy: sqlite3.Connection,
    database_urls: dict[str, str],
) -> dict[str, str]:
    """Settings of a worker on that file, with nobody at the address of Redis."""
    return service_environment(
        database_urls,
        legacy_sqlite_path=file_path,
        redis_url="redis://127.0.0.1:1/0",
    )


@pytest.fixture
def session(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """The toolkit's session behind `dual-write`; chunks are small, so that there are several."""
    monkeypatch.setattr(passes, "FIRST_ROWS", dict.fromkeys(passes.FIRST_ROWS, 40))
    monkeypatch.setattr(passes, "MOST_ROWS", dict.fromkeys(passes.MOST_ROWS, 40))
    monkeypatch.setattr(passes, "FEWEST_ROWS", 20)
    with open_session(load("worker", environ)) as opened:
        dual_write.start(opened)
        yield opened
