"""What the user service does when it hears of an event: it keeps each user's activity."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import Connection

from service_kit.events import catalog
from service_kit.events.consumer import Consumer
from service_kit.events.envelope import Event
from service_kit.settings import Settings
from user_app.repository import activity

_FROM_AUTH = frozenset(
    {
        catalog.AUTH_LOGIN_SUCCESS,
        catalog.AUTH_LOGIN_FAILED,
        catalog.AUTH_LOGOUT,
        catalog.USER_PASSWORD_CHANGED,
    }
)
_FROM_USER = frozenset({catalog.USER_REGISTERED, catalog.USER_PROFILE_UPDATED})
_SHOWN = ("ip", "user_agent", "reason", "scope")


def consumers(_settings: Settings) -> list[Consumer]:
    """The consumers of this service."""
    return [
        _keeping("user.activity-of-auth", "auth", _FROM_AUTH),
        _keeping("user.activity-of-user", "user", _FROM_USER),
    ]


def note(connection: Connection, event: Event) -> None:
    """Add the event to its user's activity; a failed login of an unknown address is nobody's."""
    if event.user_id is not None:
        shown = _shown(event.type, event.data)
        activity.add(connection, event.user_id, event.id, event.type, event.timestamp, shown)


def _keeping(name: str, source: str, types: frozenset[str]) -> Consumer:
    return Consumer(
        name=name,
        source=source,
        types=types,
        handle=note,
        reset=partial(activity.clear, event_types=types),
        repeatable=True,
    )


def _shown(event_type: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """What of the event's data its user may see. JSONB has no NUL."""
    if event_type == catalog.USER_PROFILE_UPDATED:
        return {"fields": sorted(data["changes"])}
    texts = {name: data[name] for name in _SHOWN if isinstance(data.get(name), str)}
    return {name: text.replace("\0", "") for name, text in texts.items()}
