"""What tests of the truth stand on: a legacy file and the user service's database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from service_kit.truth.legacy_file import LegacyFile
from tests.integration.truth.support import legacy_file


@pytest.fixture
def engine(user_database_url: str) -> Iterator[Engine]:
    engine = create_engine(user_database_url, pool_size=10)
    yield engine
    engine.dispose()


@pytest.fixture
def file(tmp_path: Path) -> LegacyFile:
    return legacy_file(tmp_path / "users.db")
