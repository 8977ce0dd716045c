"""What the status calls wrong."""

import re
from pathlib import Path
from typing import Any

import pytest

from service_kit.events import status
from service_kit.events.status import Limits, breaches

CONSUMER: dict[str, Any] = {
    "consumer_id": "user.activity",
    "source": "auth",
    "position": 10,
    "lag_events": 0,
    "lag_seconds": 0.0,
    "retry": 0,
    "waiting": 0,
    "parked": 0,
    "dead": 0,
    "heartbeat_age_seconds": 0.5,
    "problem": None,
}
STATE: dict[str, Any] = {
    "service": "user",
    "unsequenced": {"count": 0, "age_seconds": None},
    "sequencer": {"owner": "host:1", "heartbeat_age_seconds": 0.1},
    "consumers": [],
    "readers": [],
}


def codes(state: dict[str, Any] | None = None, **consumer: Any) -> list[tuple[str, str]]:
    consumers = [CONSUMER | consumer] if consumer else [CONSUMER]
    found = breaches(STATE | {"consumers": consumers} | (state or {}), Limits())
    return [(breach.code, breach.severity) for breach in found]


def test_a_store_and_a_consumer_that_work_are_no_breach() -> None:
    assert codes() == []


@pytest.mark.parametrize(
    ("change", "code", "severity"),
    [
        ({"dead": 1}, "dead_letters", "error"),
        ({"parked": 2}, "parked", "warning"),
        ({"lag_events": 5, "lag_seconds": 61.0}, "lag", "error"),
        ({"lag_events": -3}, "cursor_beyond_head", "error"),
        ({"heartbeat_age_seconds": 16.0}, "consumer_silent", "error"),
        ({"heartbeat_age_seconds": None}, "consumer_silent", "error"),
        ({"problem": "events 3 to 5 are no longer in the source"}, "consumer_problem", "error"),
        ({"consumer_id": "relay", "problem": "Redis: away"}, "consumer_problem", "warning"),
    ],
)
def test_each_thing_that_is_wrong_has_its_code(change: dict[str, Any], code: str, severity: str) -> None:
    assert codes(**change) == [(code, severity)]


def test_a_retry_under_way_is_no_breach() -> None:
    assert codes(retry=3, waiting=4) == []


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"sequencer": {"owner": None, "heartbeat_age_seconds": None}}, [("sequencer_silent", "error")]),
        ({"sequencer": {"owner": "h:1", "heartbeat_age_seconds": 20.0}}, [("sequencer_silent", "error")]),
        ({"unsequenced": {"count": 3, "age_seconds": 11.0}}, [("unsequenced", "error")]),
        ({"unsequenced": {"count": 3, "age_seconds": 0.1}}, []),
        (
            {"readers": [{"consumer_id": "a", "position": 1, "seen_age_seconds": 700.0}]},
            [("reader_silent", "warning")],
        ),
    ],
)
def test_the_store_itself_is_watched(state: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert codes(state) == expected


def test_the_document_explains_every_code_that_the_status_may_show() -> None:
    document = (Path(__file__).parents[3] / "docs" / "events.md").read_text()
    explained = set(re.findall(r"^\| `([a-z_]+)` \|", document, re.MULTILINE))
    shown = set(re.findall(r'Breach\(\s*"(\w+)"', Path(status.__file__).read_text()))
    assert len(shown) == 9
    assert explained == shown | {"store_unreachable"}
