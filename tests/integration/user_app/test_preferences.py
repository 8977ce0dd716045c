"""Preferences: defaults without a row, partial updates, and nothing stored that makes no sense."""

from typing import Any

import pytest

from tests.integration.user_app.support import UserService

DEFAULTS = {"theme": "system", "language": "en", "notifications_enabled": True}


def test_a_user_who_never_chose_has_the_defaults(users: UserService) -> None:
    user_id = users.new_user("ann@example.com")
    answer = users.call("GET", "/api/preferences", user_id=user_id)
    assert (answer.status_code, answer.get_json()) == (
        200,
        {"success": True, "message": "Preferences retrieved successfully", "preferences": DEFAULTS},
    )
    assert users.rows("SELECT * FROM user_preferences") == []


def test_an_update_changes_what_it_names_and_keeps_the_rest(users: UserService) -> None:
    ann, bob = users.new_user("ann@example.com"), users.new_user("bob@example.com")
    changes: list[dict[str, Any]] = [
        {"theme": "dark"},
        {"notifications_enabled": False},
        {"language": "pt-BR", "theme": "light"},
    ]
    for change in changes:
        answer = users.call("PUT", "/api/preferences", change, ann)
        assert (answer.status_code, answer.get_json()["message"]) == (200, "Preferences updated successfully")
    chosen = {"theme": "light", "language": "pt-BR", "notifications_enabled": False}
    assert answer.get_json()["preferences"] == chosen
    assert users.call("GET", "/api/preferences", user_id=ann).get_json()["preferences"] == chosen
    assert users.call("GET", "/api/preferences", user_id=bob).get_json()["preferences"] == DEFAULTS


@pytest.mark.parametrize("language", ["de", "en-US", "zh-Hant-TW", "sl-rozaj", "es-419"])
def test_language_tags_are_taken(users: UserService, language: str) -> None:
    user_id = users.new_user("ann@example.com")
    answer = users.call("PUT", "/api/preferences", {"language": language}, user_id)
    assert answer.get_json()["preferences"]["language"] == language


def test_wrong_values_are_refused_all_at_once(users: UserService) -> None:
    user_id = users.new_user("ann@example.com")
    wrong = {"theme": "Dark", "language": "english please", "notifications_enabled": "yes"}
    answer = users.call("PUT", "/api/preferences", wrong, user_id)
    assert answer.status_code == 400
    assert [error["path"] for error in answer.get_json()["errors"]] == list(wrong)
    assert users.rows("SELECT * FROM user_preferences") == []
    empty = users.call("PUT", "/api/preferences", {"colour": "red"}, user_id)
    assert (empty.status_code, empty.get_json()["message"]) == (400, "No fields to update")
