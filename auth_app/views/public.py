"""The routes of clients, which come through the gateway."""

from typing import Any, cast

from flask import Blueprint, Response, jsonify, request

from auth_app.domain import Account, Client, PresentedToken, Session
from auth_app.use_cases.change_password import ChangePassword
from auth_app.use_cases.login import Login
from auth_app.use_cases.sessions import Sessions
from service_kit.http import json_fields
from service_kit.identity import client_address, identity, user_agent
from service_kit.validation import Form


def blueprint(login: Login, change_password: ChangePassword, sessions: Sessions) -> Blueprint:
    """The public routes on these use cases."""
    routes = Blueprint("public", __name__, url_prefix="/api")

    @routes.post("/login")
    def log_in() -> Response:
        form = Form(json_fields())
        email = form.email("email")
        password = form.password("password")
        form.check()
        token, account = login.log_in(cast(str, email), cast(str, password), _client())
        return jsonify(success=True, message="Login successful", token=token, user=_user(account))

    @routes.put("/change-password")
    def change() -> Response:
        token = _token()
        form = Form(json_fields())
        current = form.password("currentPassword", "Current password is required")
        # Nothing of it is stored as text, so control characters and any length are as good as they ever were.
        new = form.password("newPassword", "New password must be at least 6 characters", min_length=6)
        form.check()
        change_password.change(token, cast(str, current), cast(str, new), _client())
        return jsonify(success=True, message="Password changed successfully")

    @routes.post("/logout")
    def log_out() -> Response:
        token = _token()
        form = Form(json_fields())
        scope = form.text("scope", lambda text: text in ("session", "all"))
        form.check()
        if scope == "all":
            sessions.log_out_everywhere(token, _client())
        else:
            sessions.log_out(token, _client())
        return jsonify(success=True, message="Logged out successfully")

    @routes.get("/sessions")
    def list_sessions() -> Response:
        live, current = sessions.live(_token(), _client())
        listed = [_session(session, current) for session in live]
        return jsonify(success=True, message="Sessions retrieved successfully", sessions=listed)

    @routes.delete("/sessions/<session_id>")
    def revoke_session(session_id: str) -> Response:
        sessions.revoke(_token(), _client(), session_id)
        return jsonify(success=True, message="Session revoked successfully")

    return routes


def _client() -> Client:
    return Client(client_address(request), user_agent(request))


def _token() -> PresentedToken:
    known = identity(request)
    return PresentedToken(known.user_id, known.email, known.token_id, known.issued_at, known.expires_at)


def _user(account: Account) -> dict[str, Any]:
    name = account.name
    if isinstance(name, bytes):  # a BLOB, which is no JSON
        name = name.decode("utf-8", "replace")
    return {"id": account.user_id, "email": account.email, "name": name}


def _session(session: Session, current: str | None) -> dict[str, Any]:
    return {
        "id": session.id,
        "created_at": session.created_at.isoformat(timespec="seconds"),
        "last_seen_at": session.last_seen_at.isoformat(timespec="seconds"),
        "expires_at": session.expires_at.isoformat(timespec="seconds"),
        "user_agent": session.user_agent,
        "ip": session.ip,
        "current": session.id == current,
    }
