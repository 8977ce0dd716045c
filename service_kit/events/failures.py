"""Events that a consumer's cursor has passed without handling them: `event_failures`.

States: `retry` (runs alone at `next_at`), `waiting` (behind another of its key), `parked` (a type or version
that this release does not know), `dead` (every attempt failed), `discarded` (an operator's decision, kept as
its trace). Of each key at most one, the lowest position, is in `retry`, `parked` or `dead`: its head. A
waiting one becomes the head when the head goes. Whoever inserts, decides or removes holds `cursors.lock`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from service_kit.events.envelope import Event, from_record, to_json, to_record

RETRY, WAITING, PARKED, DEAD, DISCARDED = "retry", "waiting", "parked", "dead", "discarded"

ENDED = "the process, or its database connection, ended while it handled this event"

_BLOCKED = """
SELECT key FROM event_failures
WHERE consumer_id = %s AND key = ANY(%s) AND state IN ('retry', 'parked', 'dead')
"""
_SKIPPED = """
SELECT position FROM event_failures WHERE consumer_id = %s AND position BETWEEN %s AND %s
"""
_INSERT = """
INSERT INTO event_failures (consumer_id, position, key, state, event, type, version, error)
SELECT %s, position, key, state, event, type, version, error
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::json[], %s::text[], %s::text[], %s::text[])
    AS new (position, key, state, event, type, version, error)
"""
_DUE = """
SELECT position, key, attempts, event FROM event_failures
WHERE consumer_id = %s AND state = 'retry' AND next_at <= clock_timestamp()
ORDER BY next_at, position LIMIT %s
"""
_NEXT_DUE = """
SELECT EXTRACT(EPOCH FROM next_at - clock_timestamp()) FROM event_failures
WHERE consumer_id = %s AND state = 'retry' ORDER BY next_at LIMIT 1
"""
_COUNT = """
UPDATE event_failures SET attempts = attempts + 1, error = %s, traceback = NULL, failed_at =
    clock_timestamp(), next_at = clock_timestamp() + %s * interval '1 second'
WHERE consumer_id = %s AND position = %s AND state = 'retry' AND attempts = %s
"""
_SET = """
UPDATE event_failures SET state = %s, attempts = attempts - %s, error = COALESCE(%s, error), traceback = %s,
    failed_at = clock_timestamp(), next_at = clock_timestamp() + %s * interval '1 second'
WHERE consumer_id = %s AND position = %s AND state = 'retry'
"""
_REMOVE = "DELETE FROM event_failures WHERE consumer_id = %s AND position = %s AND state = 'retry'"
_PROMOTE = """
UPDATE event_failures SET state = 'retry', next_at = clock_timestamp()
WHERE consumer_id = %s AND state = 'waiting' AND position = (
    SELECT min(position) FROM event_failures
    WHERE consumer_id = %s AND key = %s AND state <> 'discarded')
"""
_PARKED_KINDS = (
    "SELECT DISTINCT type, version FROM event_failures WHERE consumer_id = %s AND state = 'parked'"
)
_RELEASE = """
UPDATE event_failures SET state = 'retry', next_at = clock_timestamp(), error = NULL
WHERE consumer_id = %s AND state = 'parked' AND type = %s AND version = %s
"""
_FORGET = "DELETE FROM event_failures WHERE consumer_id = %s AND position >= %s AND state <> 'discarded'"


Row = tuple[Event, str, str, str | None]
"""An event to keep, with its key, state and error."""


@dataclass(frozen=True)
class Due:
    """An event whose turn it is. `attempts`: how many runs were begun already."""

    position: int
    key: str
    attempts: int
    event: Event


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: `retry` after `delay` seconds, `dead` or `parked`. An `error` of None leaves the
    one that is noted. `refund`: the attempt does not count."""

    state: str
    error: str | None
    traceback: str | None
    delay: float
    refund: bool


def blocked_keys(connection: Connection, consumer_id: str, keys: Iterable[str]) -> set[str]:
    """Those of `keys` that have a head: later events of them have to wait."""
    rows = connection.exec_driver_sql(_BLOCKED, (consumer_id, list(keys)))
    return {row[0] for row in rows}


def noted_positions(connection: Connection, consumer_id: str, first: int, last: int) -> set[int]:
    """Positions from `first` to `last` that have a row here: only in a replay, which must skip what was
    discarded."""
    rows = connection.exec_driver_sql(_SKIPPED, (consumer_id, first, last))
    return {row[0] for row in rows}


def insert(
    connection: Connection, consumer_id: str, rows: Sequence[tuple[Event, str, str, str | None]]
) -> None:
    """Keep events: (event, key, state, error) each."""
    if not rows:
        return
    columns: list[list[Any]] = [
        [event.position for event, *_ in rows],
        [key for _, key, _, _ in rows],
        [state for _, _, state, _ in rows],
        [to_json(to_record(event)) for event, *_ in rows],
        [event.type for event, *_ in rows],
        [event.version for event, *_ in rows],
        [error for *_, error in rows],
    ]
    connection.exec_driver_sql(_INSERT, (consumer_id, *columns))


def due(connection: Connection, consumer_id: str, limit: int) -> list[Due]:
    """At most `limit` events whose time has come, the longest due first."""
    rows = connection.exec_driver_sql(_DUE, (consumer_id, limit))
    return [Due(position, key, attempts, from_record(event)) for position, key, attempts, event in rows]


def seconds_to_next(connection: Connection, consumer_id: str) -> float | None:
    """Until the next retry; negative when it is due, None when there is none."""
    seconds = connection.exec_driver_sql(_NEXT_DUE, (consumer_id,)).scalar_one_or_none()
    return None if seconds is None else float(seconds)


def count_attempt(connection: Connection, consumer_id: str, item: Due, delay: float) -> bool:
    """Charge an attempt before it begins; False when somebody else has decided over the event meanwhile.

    What is noted as its error is what will be true if nobody comes back to correct it. `delay`: seconds until
    the next attempt in that case.
    """
    parameters = (ENDED, delay, consumer_id, item.position, item.attempts)
    return connection.exec_driver_sql(_COUNT, parameters).rowcount == 1


def settle(connection: Connection, consumer_id: str, item: Due, outcome: Outcome) -> None:
    """Note how an attempt ended."""
    refund, error, traceback = int(outcome.refund), outcome.error, outcome.traceback
    parameters = (outcome.state, refund, error, traceback, outcome.delay, consumer_id, item.position)
    connection.exec_driver_sql(_SET, parameters)


def remove(connection: Connection, consumer_id: str, item: Due) -> bool:
    """The event is handled: let the next of its key have its turn. False when it was not in `retry` any
    more."""
    if connection.exec_driver_sql(_REMOVE, (consumer_id, item.position)).rowcount != 1:
        return False
    promote(connection, consumer_id, item.key)
    return True


def promote(connection: Connection, consumer_id: str, key: str) -> None:
    """Make the first waiting event of `key` its head, when the head has gone."""
    connection.exec_driver_sql(_PROMOTE, (consumer_id, consumer_id, key))


def parked_kinds(connection: Connection, consumer_id: str) -> list[tuple[str, str]]:
    """(type, version) of what is parked."""
    return [(kind, version) for kind, version in connection.exec_driver_sql(_PARKED_KINDS, (consumer_id,))]


def release(connection: Connection, consumer_id: str, kind: str, version: str) -> None:
    """Let parked events of a type and version that is now known have their turn."""
    connection.exec_driver_sql(_RELEASE, (consumer_id, kind, version))


def forget_from(connection: Connection, consumer_id: str, position: int) -> None:
    """Drop what a replay from `position` will bring again; what was discarded stays discarded."""
    connection.exec_driver_sql(_FORGET, (consumer_id, position))
