"""What an operator decides: about events that a consumer could not handle, a replay, the end of a consumer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from service_kit.events import cursors, failures
from service_kit.events.locks import hold

_COLUMNS = "position, key, state, type, version, attempts, error, traceback, failed_at, noted_at, event"
_LIST = f"""
SELECT {_COLUMNS}, (SELECT count(*) FROM event_failures AS behind
    WHERE behind.consumer_id = event_failures.consumer_id AND behind.key = event_failures.key
        AND behind.state = 'waiting') AS waiting
FROM event_failures
WHERE consumer_id = %s AND state = ANY(%s) ORDER BY position LIMIT %s
"""  # noqa: S608
_REQUEUE = """
UPDATE event_failures SET state = 'retry', attempts = 0, next_at = clock_timestamp(),
    decided_at = clock_timestamp(), decided_by = %s, decision_reason = 'requeued'
WHERE consumer_id = %s AND state IN ('dead', 'parked')
    AND (%s::bigint IS NULL OR position = %s) AND (%s::text IS NULL OR key = %s)
RETURNING position
"""
_DISCARD = """
UPDATE event_failures SET state = 'discarded', decided_at = clock_timestamp(), decided_by = %s,
    decision_reason = %s
WHERE consumer_id = %s AND position = %s AND state <> 'discarded'
RETURNING key
"""
_WANT_REPLAY = "UPDATE event_consumers SET replay_from = %s, replay_requested_by = %s WHERE consumer_id = %s"
_REPLAYABLE = """
SELECT source, resettable, repeatable, position, replay_from FROM event_consumers WHERE consumer_id = %s
"""
_OPEN = "SELECT count(*) FROM event_failures WHERE consumer_id = %s AND state <> 'discarded'"
_RETIRE = "DELETE FROM event_consumers WHERE consumer_id = %s RETURNING position"
_FORGET_READER = "DELETE FROM event_readers WHERE consumer_id = %s"


@dataclass(frozen=True)
class Replayable:
    """What the consumer's code said of itself when it last started (see `consumer.Consumer`), and where it
    is."""

    source: str
    resettable: bool
    repeatable: bool
    position: int
    replay_from: int | None


def unhandled(
    connection: Connection, consumer_id: str, states: Sequence[str], limit: int
) -> list[dict[str, Any]]:
    """At most `limit` rows of `event_failures` in `states`, the oldest first; `waiting` counts those
    behind."""
    rows = connection.exec_driver_sql(_LIST, (consumer_id, list(states), limit))
    return [dict(row) for row in rows.mappings()]


def requeue(
    connection: Connection, consumer_id: str, by: str, *, position: int | None = None, key: str | None = None
) -> list[int]:
    """Give dead and parked events (all, one, or those of a key) their attempts again. Returns their
    positions."""
    cursors.lock(connection, consumer_id)
    rows = connection.exec_driver_sql(_REQUEUE, (by, consumer_id, position, position, key, key))
    return sorted(row[0] for row in rows)


def discard(connection: Connection, consumer_id: str, position: int, by: str, reason: str) -> bool:
    """Never handle this event; who, when and why stay in its row. The next of its key has its turn."""
    cursors.lock(connection, consumer_id)
    row = connection.exec_driver_sql(_DISCARD, (by, reason, consumer_id, position)).one_or_none()
    if row is None:
        return False
    failures.promote(connection, consumer_id, row[0])
    return True


def replayable(connection: Connection, consumer_id: str) -> Replayable | None:
    """None when no such consumer has ever run on this database."""
    row = connection.exec_driver_sql(_REPLAYABLE, (consumer_id,)).one_or_none()
    return None if row is None else Replayable(*row)


def refusal(consumer: Replayable, position: int, first: int, head: int) -> str | None:
    """Why a replay from `position` would not give the live projection; None when it does. Pure.

    `first` and `head` are the source's oldest and newest position.
    """
    if not (consumer.resettable or consumer.repeatable):
        return "its effects can be neither reset nor repeated"
    if position < first:
        return f"the events before {first} are no longer in the store"
    if position > head + 1:
        return f"the store ends at {head}"
    if position > 1 and not consumer.repeatable:
        return "its effects cannot be repeated, only rebuilt as a whole, from 1"
    return None


def want_replay(connection: Connection, consumer_id: str, position: int, by: str) -> None:
    """Ask the consumer's process to replay from `position`."""
    cursors.lock(connection, consumer_id)
    connection.exec_driver_sql(_WANT_REPLAY, (position, by, consumer_id))


def keeps_from_retiring(connection: Connection, consumer_id: str) -> str | None:
    """Why the consumer cannot go for good; None when it can. Takes its lock, for as long as `connection` lives."""
    if consumer_id == cursors.RELAY:
        return "every service publishes its events"
    if not hold(connection, consumer_id):
        return "its process is running"
    unhandled_events = connection.exec_driver_sql(_OPEN, (consumer_id,)).scalar_one()
    return f"{unhandled_events} events are not handled" if unhandled_events else None


def retire(connection: Connection, consumer_id: str) -> int | None:
    """Drop the cursor and what is noted of discarded events; returns the cursor, None when there was none."""
    row = connection.exec_driver_sql(_RETIRE, (consumer_id,)).one_or_none()
    return None if row is None else int(row[0])


def forget_reader(connection: Connection, consumer_id: str) -> bool:
    """In the store that the consumer read: keep no more events for it. Whether it had read there."""
    return connection.exec_driver_sql(_FORGET_READER, (consumer_id,)).rowcount == 1
