"""The activity feed: what events tell of a user, newest first, in pages, once each."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from service_kit.events.envelope import Event
from service_kit.ids import uuid7
from tests.integration.user_app.conftest import Make
from tests.integration.user_app.support import UserService
from user_app.consumers import note
from user_app.repository import activity

START = datetime(2026, 1, 2, 3, 4, 5, 678900, UTC)


def event(number: int, user_id: int | None, kind: str = "auth.login.success", **data: Any) -> Event:
    moment = START + timedelta(minutes=number)
    return Event(number, str(uuid7()), kind, user_id, data, moment, "1.0", moment)


def note_all(users: UserService, *events: Event) -> None:
    with users.engine.begin() as connection:
        for each in events:
            note(connection, each)


@pytest.fixture
def users(make_service: Make) -> UserService:
    """The feed lives in user_db on either side; the side where users are plays no part."""
    return make_service("database")


def feed(users: UserService, user_id: int, query: str = "") -> dict[str, Any]:
    answer = users.call("GET", f"/api/activity{query}", user_id=user_id)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.get_json()
    return body


def test_entries_come_newest_first_and_show_only_what_is_the_users(users: UserService) -> None:
    ann, bob = users.new_user("ann@example.com"), users.new_user("bob@example.com")
    note_all(
        users,
        event(1, ann, ip="203.0.113.7", user_agent="x\0y", session_id="s"),
        event(2, bob, ip="198.51.100.1"),
        event(3, None, "auth.login.failed", email="nobody@example.com"),
        event(4, ann, "user.profile.updated", changes={"name": {"old": "a", "new": "b"}, "email": {}}),
    )
    body = feed(users, ann)
    assert (body["success"], body["message"], body["next"]) == (True, "Activity retrieved successfully", None)
    assert [(entry["type"], entry["data"]) for entry in body["activity"]] == [
        ("user.profile.updated", {"fields": ["email", "name"]}),
        ("auth.login.success", {"ip": "203.0.113.7", "user_agent": "xy"}),
    ]
    assert body["activity"][1]["occurred_at"] == "2026-01-02T03:05:05.678Z"


def test_pages_follow_each_other_without_gap_or_repetition(users: UserService) -> None:
    ann = users.new_user("ann@example.com")
    note_all(users, *(event(number, ann, ip=str(number)) for number in range(1, 46)))
    seen: list[str] = []
    query = ""
    while True:
        body = feed(users, ann, query)
        seen += [entry["data"]["ip"] for entry in body["activity"]]
        if body["next"] is None:
            break
        query = f"?before={body['next']}"
        note_all(users, event(100 + len(seen), ann, ip="later"))
    assert seen == [str(number) for number in range(45, 0, -1)]
    assert len(feed(users, ann, "?limit=7")["activity"]) == 7


def test_an_event_that_comes_twice_is_shown_once_and_a_replay_rebuilds(users: UserService) -> None:
    ann = users.new_user("ann@example.com")
    events = [event(1, ann), event(2, ann, "auth.logout", scope="all")]
    note_all(users, *events, *events)
    before = [entry["type"] for entry in feed(users, ann)["activity"]]
    assert before == ["auth.logout", "auth.login.success"]

    def reset(connection: Connection) -> None:
        activity.clear(connection, {"auth.logout", "auth.login.success"})

    with users.engine.begin() as connection:
        reset(connection)
    assert feed(users, ann)["activity"] == []
    note_all(users, *events)
    assert [entry["type"] for entry in feed(users, ann)["activity"]] == before


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("?limit=0", "limit"),
        ("?limit=101", "limit"),
        ("?limit=ten", "limit"),
        ("?limit=%00", "limit"),
        ("?limit=", "limit"),
        ("?limit=١", "limit"),
        ("?before=0", "before"),
        ("?before=-1", "before"),
        ("?before=9223372036854775808", "before"),
        ("?before=1%27--", "before"),
    ],
)
def test_a_wrong_query_is_refused(users: UserService, query: str, path: str) -> None:
    ann = users.new_user("ann@example.com")
    answer = users.call("GET", f"/api/activity{query}", user_id=ann)
    assert answer.status_code == 400
    assert [(error["path"], error["location"]) for error in answer.get_json()["errors"]] == [(path, "query")]
