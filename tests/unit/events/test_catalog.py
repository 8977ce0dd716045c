"""The event types, and that the documents tell of exactly these."""

import re
from pathlib import Path

import pytest

from service_kit.events import catalog

DOCUMENT = Path(__file__).parents[3] / "docs" / "events.md"


def test_the_six_types_of_the_specification_are_known() -> None:
    assert set(catalog.KEYS) == {
        "user.registered",
        "user.profile.updated",
        "user.password.changed",
        "auth.login.success",
        "auth.login.failed",
        "auth.logout",
    }
    assert catalog.VERSION == "1.0"


def test_a_misspelt_type_or_a_missing_key_is_refused_and_named() -> None:
    with pytest.raises(ValueError, match=r"auth\.logoff"):
        catalog.check("auth.logoff", {})
    with pytest.raises(ValueError, match="scope"):
        catalog.check("auth.logout", {"user_id": 1})


def test_more_keys_than_needed_are_fine() -> None:
    catalog.check("auth.logout", {"user_id": 1, "scope": "all", "more": 1})


def test_the_document_lists_every_type_with_its_keys() -> None:
    table = dict(
        re.findall(r"^\| `([a-z]+\.[a-z.]+)` \| [^|]+ \| ([^|]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    )
    assert set(table) == set(catalog.KEYS)
    for event_type, cell in table.items():
        assert set(re.findall(r"`(\w+)`", cell)) == set(catalog.KEYS[event_type]), event_type
