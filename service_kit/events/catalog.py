"""The event types that this release knows, and what their `data` must hold. Pure data.

A type's version is raised when a consumer of the old one could not read the new one; a new key is no new
version.
"""

from collections.abc import Mapping
from typing import Any

VERSION = "1.0"

USER_REGISTERED = "user.registered"
USER_PROFILE_UPDATED = "user.profile.updated"
USER_PASSWORD_CHANGED = "user.password.changed"  # noqa: S105, a type and no secret
AUTH_LOGIN_SUCCESS = "auth.login.success"
AUTH_LOGIN_FAILED = "auth.login.failed"
AUTH_LOGOUT = "auth.logout"

KEYS: Mapping[str, frozenset[str]] = {
    USER_REGISTERED: frozenset({"user_id", "email", "name"}),
    USER_PROFILE_UPDATED: frozenset({"user_id", "changes"}),
    USER_PASSWORD_CHANGED: frozenset({"user_id", "kept_token"}),
    AUTH_LOGIN_SUCCESS: frozenset({"user_id", "ip", "user_agent", "session_id"}),
    AUTH_LOGIN_FAILED: frozenset({"user_id", "email", "ip", "reason"}),
    AUTH_LOGOUT: frozenset({"user_id", "scope"}),
}
"""Type -> the keys that its `data` has at least."""


def check(event_type: str, data: Mapping[str, Any]) -> None:
    """Raises ValueError for an event that no consumer of this release could read."""
    if event_type not in KEYS:
        raise ValueError(f"unknown event type {event_type!r}, one of {', '.join(KEYS)}")
    missing = KEYS[event_type] - data.keys()
    if missing:
        raise ValueError(f"{event_type} lacks {', '.join(sorted(missing))} in its data")
