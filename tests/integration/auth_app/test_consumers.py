"""The copy of each user's email follows the user service's events, however often and late they come."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from auth_app import consumers
from auth_app.repository import emails
from service_kit import settings
from service_kit.events.catalog import KEYS
from service_kit.events.envelope import Event
from service_kit.ids import uuid7
from tests.support.environment import service_environment


@pytest.fixture
def connection(auth_engine: Engine) -> Iterator[Connection]:
    with auth_engine.begin() as opened:
        yield opened


def event(event_type: str, minute: int, **data: Any) -> Event:
    moment = datetime(2026, 1, 1, 12, minute, tzinfo=UTC)
    return Event(minute, str(uuid7()), event_type, 5, {"user_id": 5, **data}, moment, "1.0", moment)


REGISTERED = event("user.registered", 1, email="ann@example.com", name="Ann")
RENAMED = event("user.profile.updated", 2, changes={"name": {"old": "Ann", "new": "Bob"}})
MOVED = event(
    "user.profile.updated", 3, changes={"email": {"old": "ann@example.com", "new": "ann2@example.com"}}
)


def test_the_copy_follows_registrations_and_changes_of_the_email_only(connection: Connection) -> None:
    seen = []
    for told in (REGISTERED, RENAMED, MOVED):
        consumers.keep_email(connection, told)
        seen.append(emails.email_of(connection, 5))
    assert seen == ["ann@example.com", "ann@example.com", "ann2@example.com"]


def test_an_event_that_comes_again_does_not_bring_an_older_email_back(connection: Connection) -> None:
    for told in (REGISTERED, MOVED, REGISTERED, MOVED, RENAMED):
        consumers.keep_email(connection, told)
    assert emails.email_of(connection, 5) == "ann2@example.com"


def test_a_change_of_a_user_from_before_the_events_is_enough(connection: Connection) -> None:
    consumers.keep_email(connection, MOVED)
    assert emails.email_of(connection, 5) == "ann2@example.com"


def test_a_replay_rebuilds_the_copy_from_nothing(connection: Connection) -> None:
    consumers.keep_email(connection, MOVED)
    emails.clear(connection)
    assert emails.email_of(connection, 5) is None
    for told in (REGISTERED, MOVED):
        consumers.keep_email(connection, told)
    assert emails.email_of(connection, 5) == "ann2@example.com"


def test_every_consumer_listens_to_known_types_of_the_right_service(auth_database_url: str) -> None:
    environ = service_environment(auth_database_url=auth_database_url, redis_url="redis://127.0.0.1:1/0")
    found = consumers.consumers(settings.load("auth", environ))
    assert len({consumer.name for consumer in found}) == len(found) == 2
    for consumer in found:
        assert consumer.types <= KEYS.keys()
        profile = {"user.registered", "user.profile.updated"}
        assert consumer.source == ("user" if consumer.types <= profile else "auth")
