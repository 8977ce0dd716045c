"""A registration that a cutover or a rollback overtakes ends on the other side: whole, once, with its own answer."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from migration.capture import install
from migration.drain import drain
from migration.dual_write import start
from migration.session import Session, open_session
from service_kit.settings import load
from tests.faults.registration.conftest import USER, Make, Services
from tests.integration.migration_protocol.moving import cut_over, go_back
from tests.support.environment import service_environment

EMAIL = "ann@example.com"


@pytest.fixture
def services(make_services: Make) -> Services:
    """Both services on a legacy file with a few users."""
    return make_services(legacy=True)


@pytest.fixture
def session(services: Services, database_urls: dict[str, str]) -> Iterator[Session]:
    """The toolkit on the same file, its copy done: every row has been captured and applied."""
    environ = service_environment(
        database_urls,
        legacy_sqlite_path=services.legacy,
        redis_url="redis://127.0.0.1:1/0",
    )
    with open_session(load("worker", environ)) as opened:
        start(opened)
        install(opened.file)
        in_file(services.legacy, "UPDATE users SET name = name")
        drain(opened)
        yield opened


def in_file(path: Path | None, statement: str, *values: object) -> list[tuple[object, ...]]:
    assert path is not None
    connection = sqlite3.connect(path, timeout=10)
    try:
        with connection:
            return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def assert_whole_in_file(services: Services) -> None:
    """One user with the address in the file, who can log in; the rows of the file are the users."""
    assert len(in_file(services.legacy, "SELECT id FROM users WHERE email = ?", EMAIL)) == 1
    assert services.fate(EMAIL) == "whole"


def test_a_rollback_before_the_credential_sends_it_to_the_file(services: Services, session: Session) -> None:
    cut_over(session)
    held = services.traps.hold_at(USER, "registration.pending")
    overtaken = services.begin(EMAIL)
    assert held.sprung.wait(30)
    assert go_back(session).settled == 1
    assert in_file(services.legacy, "SELECT id FROM users WHERE email = ?", EMAIL) == []
    held.release.set()
    assert overtaken.status == 201
    assert_whole_in_file(services)


def test_a_rollback_behind_the_credential_takes_the_user_along(services: Services, session: Session) -> None:
    cut_over(session)
    held = services.traps.hold_at(USER, "registration.credential_put")
    overtaken = services.begin(EMAIL)
    assert held.sprung.wait(30)
    assert go_back(session).settled == 1
    moved = in_file(services.legacy, "SELECT id FROM users WHERE email = ?", EMAIL)
    held.release.set()
    assert overtaken.status == 201
    assert_whole_in_file(services)
    assert in_file(services.legacy, "SELECT id FROM users WHERE email = ?", EMAIL) == moved


def test_who_took_the_address_in_the_file_meanwhile_keeps_it(services: Services, session: Session) -> None:
    cut_over(session)
    held = services.traps.hold_at(USER, "registration.pending")
    overtaken = services.begin(EMAIL)
    assert held.sprung.wait(30)
    go_back(session)
    assert services.register(EMAIL) == 201
    held.release.set()
    assert overtaken.status == 400
    assert_whole_in_file(services)


@pytest.mark.parametrize("point", ["registration.pending", "registration.credential_put"])
def test_rolled_back_and_cut_over_again_it_ends_in_postgresql(
    services: Services, session: Session, point: str
) -> None:
    cut_over(session)
    held = services.traps.hold_at(USER, point)
    overtaken = services.begin(EMAIL)
    assert held.sprung.wait(30)
    go_back(session)
    drain(session)
    cut_over(session)
    held.release.set()
    assert overtaken.status == 201
    assert services.fate(EMAIL, whole_in_database=True) == "whole"


@pytest.mark.parametrize("point", ["registration.hashed", "truth.write.before_file_commit"])
def test_a_cutover_during_a_registration_in_the_file_loses_nothing(
    services: Services, session: Session, point: str
) -> None:
    held = services.traps.hold_at(USER, point)
    overtaken = services.begin(EMAIL)
    assert held.sprung.wait(30)
    if point == "registration.hashed":
        cut_over(session)
        held.release.set()
    else:
        held.release.set()
        cut_over(session)
    assert overtaken.status == 201
    assert services.fate(EMAIL, whole_in_database=True) == "whole"
