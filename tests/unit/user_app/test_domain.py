"""Rules of users and preferences that need no store."""

from datetime import datetime

import pytest

from user_app.domain import (
    NothingToUpdate,
    PreferencesChange,
    ProfileChange,
    User,
    is_language,
    legacy_created_at,
)

ANN = User(7, "ann@example.com", "Ann", None)


def test_a_change_names_old_and_new_of_what_differs() -> None:
    change = ProfileChange(email="new@example.com", name="Ann")
    assert change.against(ANN) == {"email": {"old": "ann@example.com", "new": "new@example.com"}}
    assert ProfileChange(name="Ann").against(ANN) == {}
    assert ProfileChange(name="X").against(User(7, "a@b.co", None, None)) == {
        "name": {"old": None, "new": "X"}
    }


def test_a_change_of_nothing_is_refused_but_false_is_a_choice() -> None:
    with pytest.raises(NothingToUpdate):
        ProfileChange()
    with pytest.raises(NothingToUpdate):
        PreferencesChange()
    assert PreferencesChange(notifications_enabled=False).notifications_enabled is False


@pytest.mark.parametrize("tag", ["en", "de-AT", "zh-Hant-TW", "es-419", "sl-rozaj-biske", "yue"])
def test_language_tags(tag: str) -> None:
    assert is_language(tag)


@pytest.mark.parametrize(
    "tag", ["", "e", "english", "en_US", "en-", "-en", "en--US", "日本", "en-US\n", "en" + "-abcdefgh" * 4]
)
def test_what_is_no_language_tag(tag: str) -> None:
    assert not is_language(tag)


@pytest.mark.parametrize(
    ("source", "shown"),
    [(None, "2024-02-03 04:05:06"), ("i:-5", -5), ("r:1.5", 1.5), ("t:2024-02-03", "2024-02-03"), ("t:", "")],
)
def test_a_date_is_shown_in_its_legacy_form(source: str | None, shown: object) -> None:
    found = legacy_created_at(datetime(2024, 2, 3, 4, 5, 6, 999), source)  # noqa: DTZ001
    assert (found, type(found)) == (shown, type(shown))


def test_a_legacy_null_stays_null() -> None:
    assert legacy_created_at(None, None) is None
