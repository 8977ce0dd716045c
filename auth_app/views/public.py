"""The routes of clients about passwords; they come through the gateway."""

from typing import Any, cast

from flask import Blueprint, Response, jsonify

from auth_app.domain import Account
from auth_app.use_cases.change_password import ChangePassword
from auth_app.use_cases.login import Login
from auth_app.views.caller import asking_client, presented_token
from service_kit.http import json_fields
from service_kit.validation import Form


def blueprint(login: Login, change_password: ChangePassword) -> Blueprint:
    """POST /api/login and PUT /api/change-password."""
    routes = Blueprint("public", __name__, url_prefix="/api")

    @routes.post("/login")
    def log_in() -> Response:
        form = Form(json_fields())
        email = form.email("email")
        password = form.password("password")
        form.check()
        token, account = login.log_in(cast(str, email), cast(str, password), asking_client())
        return jsonify(success=True, message="Login successful", token=token, user=_user(account))

    @routes.put("/change-password")
    def change() -> Response:
        token = presented_token()
        form = Form(json_fields())
        current = form.password("currentPassword", "Current password is required")
        # Nothing of it is stored as text, so control characters and any length are as good as they ever were.
        new = form.password("newPassword", "New password must be at least 6 characters", min_length=6)
        form.check()
        change_password.change(token, cast(str, current), cast(str, new), asking_client())
        return jsonify(success=True, message="Password changed successfully")

    return routes


def _user(account: Account) -> dict[str, Any]:
    name = account.name
    if isinstance(name, bytes):  # a BLOB, which is no JSON
        name = name.decode("utf-8", "replace")
    return {"id": account.user_id, "email": account.email, "name": name}
