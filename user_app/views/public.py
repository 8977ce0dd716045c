"""The routes that the gateway forwards for clients: register, profile, preferences, activity."""

from typing import Any

from flask import Blueprint, Response, jsonify, request

from service_kit.http import json_fields
from service_kit.identity import client_address, identity, user_agent
from service_kit.validation import Form
from user_app.domain import (
    THEMES,
    ActivityEntry,
    Client,
    Preferences,
    PreferencesChange,
    ProfileChange,
    User,
    is_language,
)
from user_app.use_cases.activity import ActivityFeed
from user_app.use_cases.preferences import PreferenceKeeping
from user_app.use_cases.profiles import Profiles
from user_app.use_cases.registration import Registration

PAGE, MAX_PAGE = 20, 100
_MAX_ID = 2**63 - 1


def blueprint(
    registration: Registration, profiles: Profiles, preferences: PreferenceKeeping, activity: ActivityFeed
) -> Blueprint:
    """The public routes on these use cases."""
    routes = Blueprint("public", __name__, url_prefix="/api")

    @routes.post("/register")
    def register() -> tuple[Response, int]:
        form = Form(json_fields())
        email, password, name = form.email("email"), form.new_password("password"), form.name("name")
        form.check()
        user, token = registration.register(email or "", password or "", name, _client())
        shown = {"id": user.id, "email": user.email, "name": user.name}
        return _success("User registered successfully", token=token, user=shown), 201

    @routes.get("/profile")
    def get_profile() -> Response:
        user = profiles.get(identity(request).user_id)
        return _success("Profile retrieved successfully", user=_profile(user))

    @routes.put("/profile")
    def update_profile() -> Response:
        presented = identity(request)
        form = Form(json_fields())
        name = form.name("name", "Name must not be empty")
        email = form.email("email", "Invalid email format", optional=True)
        form.check()
        user, token = profiles.update(presented, ProfileChange(email, name), _client())
        return _success("Profile updated successfully", token=token, user=_profile(user))

    @routes.get("/preferences")
    def get_preferences() -> Response:
        found = preferences.get(identity(request).user_id)
        return _success("Preferences retrieved successfully", preferences=_preferences(found))

    @routes.put("/preferences")
    def update_preferences() -> Response:
        user_id = identity(request).user_id
        changed = preferences.update(user_id, _preferences_change())
        return _success("Preferences updated successfully", preferences=_preferences(changed))

    @routes.get("/activity")
    def get_activity() -> Response:
        user_id = identity(request).user_id
        form = Form(request.args, location="query")
        limit = form.number("limit", 1, MAX_PAGE, f"Limit must be a number from 1 to {MAX_PAGE}")
        before = form.number("before", 1, _MAX_ID, "Before must be the next of an earlier page")
        form.check()
        entries, following = activity.page(user_id, PAGE if limit is None else limit, before)
        shown = [_entry(entry) for entry in entries]
        return _success("Activity retrieved successfully", activity=shown, next=following)

    return routes


def _success(message: str, **more: Any) -> Response:
    return jsonify({"success": True, "message": message, **more})


def _client() -> Client:
    return Client(client_address(request), user_agent(request))


def _profile(user: User) -> dict[str, Any]:
    return {"id": user.id, "email": user.email, "name": user.name, "created_at": user.created_at}


def _preferences(preferences: Preferences) -> dict[str, Any]:
    return dict(vars(preferences))


def _preferences_change() -> PreferencesChange:
    form = Form(json_fields())
    theme = form.text("theme", THEMES.__contains__, f"Theme must be one of {', '.join(THEMES)}")
    language = form.text("language", is_language, "Language must be a tag like en or pt-BR")
    notifications = form.flag("notifications_enabled", "Notifications must be true or false")
    form.check()
    return PreferencesChange(theme, language, notifications)


def _entry(entry: ActivityEntry) -> dict[str, Any]:
    moment = entry.occurred_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"id": entry.id, "type": entry.type, "occurred_at": moment, "data": entry.data}
