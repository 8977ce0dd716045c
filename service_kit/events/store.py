"""The event store of one database: append within the caller's transaction, read by position."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from service_kit.db import insert_rows
from service_kit.events import catalog
from service_kit.events.envelope import Event, to_json
from service_kit.ids import uuid7

COLUMNS = "position, CAST(event_id AS TEXT) AS id, type, user_id, data, occurred_at, version, recorded_at"

_EVENTS = "events (event_id, type, version, user_id, data, occurred_at)"
_EVENT = "(%s, %s, %s, %s, %s, COALESCE(%s, clock_timestamp()))"
_READ = f"SELECT {COLUMNS} FROM events WHERE position > %s ORDER BY position LIMIT %s"  # noqa: S608
_BOUNDS = """
SELECT COALESCE((SELECT position FROM events WHERE position IS NOT NULL ORDER BY position LIMIT 1),
                last_position + 1), last_position
FROM event_head WHERE id = 1
"""


@dataclass(frozen=True)
class NewEvent:
    """An event to append. `occurred_at` has a time zone; None means now. `event_id`: None for a new one."""

    type: str
    user_id: int | None
    data: Mapping[str, Any]
    occurred_at: datetime | None = None
    event_id: UUID | None = None


def append(
    connection: Connection,
    event_type: str,
    user_id: int | None,
    data: Mapping[str, Any],
    occurred_at: datetime | None = None,
    event_id: UUID | None = None,
) -> UUID:
    """Append one event to the caller's transaction: it is there if and only if the transaction commits.

    Order within a user is the order of appends, if each follows the lock on that user's row: append after the
    change that the event tells of, in the same transaction.

    Returns:
        the event's id.
    Raises:
        ValueError: unknown type, data without a key of that type, a time without its zone, NaN.
    """
    return append_many(connection, [NewEvent(event_type, user_id, data, occurred_at, event_id)])[0]


def append_many(connection: Connection, events: Iterable[NewEvent]) -> list[UUID]:
    """Append all, in this order, in one statement. Returns their ids, and raises, as `append` does."""
    rows = [_row(event) for event in events]
    insert_rows(connection, _EVENTS, rows, row=_EVENT)
    return [UUID(row[0]) for row in rows]


def read_after(connection: Connection, position: int, limit: int) -> list[Event]:
    """At most `limit` numbered events behind `position`, in order, without a gap between them."""
    return [to_event(row) for row in connection.exec_driver_sql(_READ, (position, limit))]


def bounds(connection: Connection) -> tuple[int, int]:
    """(position of the oldest event kept, position of the newest). Equal to (n + 1, n) when none is kept."""
    first, head = tuple(connection.exec_driver_sql(_BOUNDS).one())
    return first, head


def to_event(row: Sequence[Any]) -> Event:
    """The event of a row of `COLUMNS`."""
    return Event(
        position=row[0],
        id=row[1],
        type=row[2],
        user_id=row[3],
        data=row[4],
        timestamp=row[5],
        version=row[6],
        recorded_at=row[7],
    )


def _row(event: NewEvent) -> tuple[str, str, str, int | None, str, datetime | None]:
    catalog.check(event.type, event.data)
    if event.occurred_at is not None and event.occurred_at.tzinfo is None:
        raise ValueError("the time of an event must carry its time zone")
    event_id = event.event_id or uuid7()
    data = to_json(dict(event.data))
    return str(event_id), event.type, catalog.VERSION, event.user_id, data, event.occurred_at
