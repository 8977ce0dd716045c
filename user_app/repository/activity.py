"""Rows of user_activity: a projection of events, newest first."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from user_app.domain import ActivityEntry


def add(
    connection: Connection,
    user_id: int,
    event_id: str,
    event_type: str,
    occurred_at: datetime,
    data: Mapping[str, Any],
) -> None:
    """Note one event; a second time changes nothing."""
    connection.exec_driver_sql(
        "INSERT INTO user_activity (user_id, event_id, type, occurred_at, data) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (event_id) DO NOTHING",
        (user_id, event_id, event_type, occurred_at, json.dumps(data)),
    )


def newest(connection: Connection, user_id: int, limit: int, before: int | None) -> list[ActivityEntry]:
    """At most `limit` entries, newest first, older than the entry `before`."""
    rows = connection.exec_driver_sql(
        "SELECT id, type, occurred_at, data FROM user_activity WHERE user_id = %(user_id)s"
        " AND id < COALESCE(%(before)s, 9223372036854775807) ORDER BY id DESC LIMIT %(limit)s",
        {"user_id": user_id, "before": before, "limit": limit},
    )
    return [ActivityEntry(*row) for row in rows]


def clear(connection: Connection, event_types: Iterable[str]) -> None:
    """Forget what came from these types, so that a replay can fill it in again."""
    connection.exec_driver_sql("DELETE FROM user_activity WHERE type = ANY(%(t)s)", {"t": list(event_types)})
