"""The routes of clients about their sessions; they come through the gateway."""

from typing import Any

from flask import Blueprint, Response, jsonify

from auth_app.domain import Session
from auth_app.use_cases.sessions import Sessions
from auth_app.views.caller import asking_client, presented_token
from service_kit.http import json_fields
from service_kit.validation import Form


def blueprint(sessions: Sessions) -> Blueprint:
    """POST /api/logout, GET /api/sessions, DELETE /api/sessions/{id}."""
    routes = Blueprint("sessions", __name__, url_prefix="/api")

    @routes.post("/logout")
    def log_out() -> Response:
        token = presented_token()
        form = Form(json_fields())
        scope = form.text("scope", lambda text: text in ("session", "all"))
        form.check()
        if scope == "all":
            sessions.log_out_everywhere(token, asking_client())
        else:
            sessions.log_out(token, asking_client())
        return jsonify(success=True, message="Logged out successfully")

    @routes.get("/sessions")
    def list_sessions() -> Response:
        live, current = sessions.live(presented_token(), asking_client())
        listed = [_session(session, current) for session in live]
        return jsonify(success=True, message="Sessions retrieved successfully", sessions=listed)

    @routes.delete("/sessions/<session_id>")
    def revoke_session(session_id: str) -> Response:
        sessions.revoke(presented_token(), asking_client(), session_id)
        return jsonify(success=True, message="Session revoked successfully")

    return routes


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
