"""Steps of a coordinator that was given up for slowness, carried out when the world has moved on."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from migration.answer import Refused
from migration.cutover import _continue_ids
from migration.session import Session, open_session
from service_kit.settings import load
from service_kit.truth.phase import follow
from tests.faults.harness import legacy
from tests.support.environment import service_environment


@pytest.fixture
def session(tmp_path: Path, database_urls: dict[str, str]) -> Iterator[Session]:
    legacy.make(tmp_path / "users.db", Random(1))
    environ = service_environment(
        database_urls,
        legacy_sqlite_path=tmp_path / "users.db",
        redis_url="redis://127.0.0.1:1/0",
    )
    with open_session(load("worker", environ)) as opened:
        yield opened


def last_id(session: Session) -> int:
    with session.user.connect() as connection:
        return int(connection.exec_driver_sql("SELECT last_value FROM users_id_seq").scalar_one())


def test_the_ids_are_moved_up_before_the_cutover(session: Session) -> None:
    assert _continue_ids(session, 0, 70) == 70
    assert _continue_ids(session, 0, 60) == 70
    assert last_id(session) == 70


def test_a_cutover_that_comes_late_does_not_set_the_ids_back(session: Session) -> None:
    follow(session.user, 1)
    with session.user.begin() as connection:
        connection.exec_driver_sql("SELECT setval('users_id_seq', 90)")
    with pytest.raises(Refused):
        _continue_ids(session, 0, 70)
    assert last_id(session) == 90
