"""A row of PostgreSQL that holds somebody else's email does not stop the log: it is mended with the batch."""

import pytest

from migration.capture import install
from migration.catch_up import Reached
from migration.drain import drain
from migration.session import Session
from tests.integration.migration_protocol.support import Legacy, accounts_of, events, query

ANN, BOB, CAT = 1, 2, 3


@pytest.fixture
def running(session: Session, legacy: Legacy) -> Session:
    install(session.file)
    legacy.run("UPDATE users SET name = name")
    drain(session)
    return session


def give_email(session: Session, key: int, email: str) -> None:
    query(
        session.user,
        "SET LOCAL migration.applying = 'on'; UPDATE users SET email = %s WHERE id = %s",
        f"{email}@example.com",
        key,
    )


def test_who_holds_an_email_wrongly_gives_it_up_when_the_log_needs_it(
    running: Session, legacy: Legacy
) -> None:
    give_email(running, BOB, "new")
    legacy.run("UPDATE users SET email = 'new@example.com' WHERE id = 1")
    assert drain(running).reached is Reached.END
    assert accounts_of(running.user, running.auth) == legacy.accounts()
    assert [event[1] for event in events(running.user)] == [ANN], "mending is no change of a user"


def test_rows_that_stand_in_each_others_way_are_mended_together(running: Session, legacy: Legacy) -> None:
    give_email(running, CAT, "third")
    give_email(running, BOB, "new")
    give_email(running, CAT, "bob")
    legacy.run("UPDATE users SET email = 'new@example.com' WHERE id = 1")
    assert drain(running).reached is Reached.END
    assert accounts_of(running.user, running.auth) == legacy.accounts()
