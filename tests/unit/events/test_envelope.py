"""The forms of an event."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from service_kit.events.envelope import Event, envelope, from_record, to_json, to_record

EVENT = Event(
    position=7,
    id="01a203ab-afc8-7e2a-bcf8-4700c3e9227a",
    type="auth.logout",
    user_id=5,
    data={"user_id": 5, "scope": "all"},
    timestamp=datetime(2026, 11, 22, 14, 0, 0, 1, tzinfo=UTC),
    version="1.0",
    recorded_at=datetime(2026, 11, 22, 14, 0, 1, tzinfo=UTC),
)


def test_the_published_form_has_the_five_keys_of_the_specification() -> None:
    assert envelope(EVENT) == {
        "id": "01a203ab-afc8-7e2a-bcf8-4700c3e9227a",
        "type": "auth.logout",
        "data": {"user_id": 5, "scope": "all"},
        "timestamp": "2026-11-22T14:00:00.000001+00:00",
        "version": "1.0",
    }


def test_a_record_gives_the_same_event_back() -> None:
    assert from_record(json.loads(to_json(to_record(EVENT)))) == EVENT


def test_times_of_other_zones_stay_the_same_instant() -> None:
    east = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5)))
    event = Event(**{**vars(EVENT), "timestamp": east})
    assert from_record(to_record(event)).timestamp == east


@pytest.mark.parametrize("text", ["\0", "\ud800", "é", "\u2028", '"', "\\u0000"])
def test_any_text_that_a_client_may_send_survives_as_ascii(text: str) -> None:
    encoded = to_json({"email": text})
    assert encoded.isascii()
    assert json.loads(encoded) == {"email": text}


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json({"n": float("nan")})


def test_events_of_a_user_share_their_key_and_events_of_nobody_have_one_each() -> None:
    first = Event(**{**vars(EVENT), "user_id": None})
    second = Event(**{**vars(EVENT), "user_id": None, "id": "another"})
    assert EVENT.key == "user:5"
    assert first.key != second.key


@pytest.mark.parametrize("damage", [{"position": None}, {"timestamp": "yesterday"}, {"recorded_at": 5}])
def test_a_record_that_is_none_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_record(to_record(EVENT) | damage)
