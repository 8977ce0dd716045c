"""One event as consumers see it, and its JSON forms. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class Event:
    """A numbered event of one source.

    `position`: 1, 2, 3... without gaps, in the order in which commits became visible. `id`: UUID as text,
    the idempotency key for effects outside of the consumer's database. `user_id`: whose event it is, None for
    nobody's (a failed login of an unknown address). `timestamp`: when it happened; `recorded_at`: when it was
    appended.
    """

    position: int
    id: str
    type: str
    user_id: int | None
    data: dict[str, Any]
    timestamp: datetime
    version: str
    recorded_at: datetime

    @property
    def key(self) -> str:
        """What keeps its order and waits together: a user's events, or this one alone."""
        return f"event:{self.id}" if self.user_id is None else f"user:{self.user_id}"


def envelope(event: Event) -> dict[str, Any]:
    """`{id, type, data, timestamp, version}`: the published form. `timestamp` is ISO 8601 with its offset."""
    return {
        "id": event.id,
        "type": event.type,
        "data": event.data,
        "timestamp": event.timestamp.isoformat(),
        "version": event.version,
    }


def to_record(event: Event) -> dict[str, Any]:
    """The envelope with what the envelope leaves out; `from_record` gives the event back."""
    recorded_at = event.recorded_at.isoformat()
    rest = {"position": event.position, "user_id": event.user_id, "recorded_at": recorded_at}
    return rest | envelope(event)


def from_record(record: Mapping[str, Any]) -> Event:
    """The event of a `to_record` form. Raises KeyError, TypeError or ValueError when it is none."""
    return Event(
        position=int(record["position"]),
        id=str(record["id"]),
        type=str(record["type"]),
        user_id=record["user_id"],
        data=record["data"],
        timestamp=datetime.fromisoformat(record["timestamp"]),
        version=str(record["version"]),
        recorded_at=datetime.fromisoformat(record["recorded_at"]),
    )


def to_json(value: Any) -> str:
    """ASCII JSON without spaces; whatever text came in from outside goes through, lone surrogates too."""
    return _ENCODER.encode(value)
