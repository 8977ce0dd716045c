"""Clients of the legacy server find at the gateway what they are used to, wherever the users are stored."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devstack.sample import TABLE
from migration.capture import install
from service_kit.truth.legacy_file import LegacyFile
from tests.support import contract
from tests.support.platform import platform


@pytest.fixture(params=["legacy", "dual_write", "finished"])
def gateway_url(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    user_database_url: str,
    auth_database_url: str,
    redis_url: str,
) -> Iterator[str]:
    """The gateway over the legacy file as it always was, over the captured file, and over PostgreSQL alone."""
    path = tmp_path / "legacy.db"
    if request.param != "finished":
        with sqlite3.connect(path) as connection:
            connection.execute(TABLE)
    if request.param == "dual_write":
        install(LegacyFile(path))
    values: dict[str, Any] = {"user_database_url": user_database_url, "auth_database_url": auth_database_url}
    file = "" if request.param == "finished" else path
    with platform(tmp_path, redis_url=redis_url, legacy_sqlite_path=file, **values) as running:
        yield running["gateway"].url


def test_every_recorded_exchange_is_answered_as_it_was(gateway_url: str) -> None:
    assert contract.count() == 43
    assert list(contract.differences(gateway_url)) == []
    assert list(contract.differences(gateway_url)) == [], (
        "nor a second time, with the first run's users there"
    )
