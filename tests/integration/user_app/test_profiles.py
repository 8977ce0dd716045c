"""Profiles on either side of the migration, with the legacy answers."""

import re
from typing import Any

import jwt
import pytest

from tests.integration.user_app.conftest import Make
from tests.integration.user_app.support import UserService

NOT_FOUND = {"success": False, "message": "User not found"}


def update(users: UserService, user_id: int, **fields: Any) -> tuple[int, dict[str, Any]]:
    answer = users.call("PUT", "/api/profile", fields, user_id)
    return answer.status_code, answer.get_json()


def test_a_profile_shows_what_the_legacy_server_showed(users: UserService) -> None:
    user_id = users.new_user("ann@example.com")
    answer = users.call("GET", "/api/profile", user_id=user_id)
    body = answer.get_json()
    created_at = body["user"].pop("created_at")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", created_at)
    assert (answer.status_code, body) == (
        200,
        {
            "success": True,
            "message": "Profile retrieved successfully",
            "user": {"id": user_id, "email": "ann@example.com", "name": "Ann Lee"},
        },
    )


def test_a_new_name_is_stored_trimmed_and_brings_no_token(users: UserService) -> None:
    user_id = users.new_user("ann@example.com")
    status, body = update(users, user_id, name="  Ann M. Lee ")
    assert (status, body["message"], body["token"]) == (200, "Profile updated successfully", None)
    assert body["user"]["name"] == "Ann M. Lee"
    assert users.call("GET", "/api/profile", user_id=user_id).get_json()["user"] == body["user"]


def test_a_new_email_brings_a_token_that_carries_it(users: UserService) -> None:
    user_id = users.new_user("ann@example.com")
    status, body = update(users, user_id, email="Ann.2@GMAIL.com")
    assert (status, body["user"]["email"]) == (200, "ann2@gmail.com")
    claims = jwt.decode(body["token"], options={"verify_signature": False})
    assert (claims["userId"], claims["email"]) == (user_id, "ann2@gmail.com")
    assert users.look_up("ann@example.com").status_code == 404
    assert users.look_up("ann2@gmail.com").get_json()["id"] == user_id


def test_ones_own_email_again_is_no_conflict_and_brings_a_token(users: UserService) -> None:
    user_id = users.new_user("ann@example.com")
    status, body = update(users, user_id, email="ANN@example.com")
    assert (status, body["user"]["email"]) == (200, "ann@example.com")
    assert body["token"].count(".") == 2


def test_the_email_of_another_is_refused_and_nothing_changes(users: UserService) -> None:
    user_id = users.new_user("ann@example.com")
    users.new_user("bob@example.com")
    status, body = update(users, user_id, email="bob@example.com", name="New")
    assert (status, body) == (400, {"success": False, "message": "Email already taken by another user"})
    assert users.look_up("ann@example.com").get_json()["name"] == "Ann Lee"


def test_no_field_is_refused_after_wrong_fields(users: UserService) -> None:
    user_id = users.new_user("ann@example.com")
    assert update(users, user_id) == (400, {"success": False, "message": "No fields to update"})
    assert update(users, user_id, other=1) == (400, {"success": False, "message": "No fields to update"})
    status, body = update(users, user_id, name=" ", email="bad")
    assert (status, body["message"]) == (400, "Validation failed")
    assert [(error["path"], error["msg"], error["value"]) for error in body["errors"]] == [
        ("name", "Name must not be empty", ""),
        ("email", "Invalid email format", "bad"),
    ]


def test_a_user_who_is_gone_is_not_found(users: UserService) -> None:
    user_id = users.new_user("ann@example.com")
    users.remove(user_id)
    for method, path, fields in (
        ("GET", "/api/profile", None),
        ("PUT", "/api/profile", {"name": "New"}),
        ("PUT", "/api/profile", {"email": "new@example.com"}),
        ("GET", "/api/preferences", None),
        ("PUT", "/api/preferences", {"theme": "dark"}),
        ("GET", "/api/activity", None),
    ):
        answer = users.call(method, path, fields, user_id)
        assert (answer.status_code, answer.get_json()) == (404, NOT_FOUND), (method, path)


def test_a_profile_update_tells_what_changed_and_only_that(make_service: Make) -> None:
    users = make_service("database")
    user_id = users.new_user("ann@example.com")
    update(users, user_id, name="Ann Lee", email="ann@example.com")
    update(users, user_id, name="Ann M. Lee", email="ann2@example.com")
    assert users.events()[1:] == [
        (
            "user.profile.updated",
            {
                "user_id": user_id,
                "changes": {
                    "email": {"old": "ann@example.com", "new": "ann2@example.com"},
                    "name": {"old": "Ann Lee", "new": "Ann M. Lee"},
                },
            },
        )
    ]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (None, "2024-02-03 04:05:06"),
        ("i:1706933106", 1706933106),
        ("r:2460343.67", 2460343.67),
        ("t:2024-02-03T04:05:06.789Z", "2024-02-03T04:05:06.789Z"),
    ],
)
def test_a_migrated_date_is_shown_in_its_legacy_form(
    make_service: Make, source: str | None, shown: object
) -> None:
    users = make_service("database")
    user_id = users.new_user("ann@example.com")
    with users.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE users SET created_at = '2024-02-03 04:05:06', created_at_source = %s", (source,)
        )
    assert users.call("GET", "/api/profile", user_id=user_id).get_json()["user"]["created_at"] == shown


def test_whatever_the_legacy_file_holds_is_shown_as_json(make_service: Make) -> None:
    users = make_service("file")
    user_id = users.new_user("ann@example.com")
    assert users.legacy is not None
    users.legacy.run("UPDATE users SET name = x'00ff', created_at = 1700000000")
    shown = users.call("GET", "/api/profile", user_id=user_id).get_json()["user"]
    assert (shown["name"], shown["created_at"]) == ({"type": "Buffer", "data": [0, 255]}, 1700000000)


def test_routes_of_users_need_an_identity(users: UserService) -> None:
    for method, path in (("GET", "/api/profile"), ("PUT", "/api/preferences"), ("GET", "/api/activity")):
        answer = users.call(method, path)
        assert answer.status_code == 401
        assert answer.get_json() == {"success": False, "message": "Access token required"}
    broken = users.call("GET", "/api/profile", user_id=1, headers={"X-User-Id": "99999999999999999999"})
    assert broken.status_code == 401
