"""The rows of `event_consumers`: how far each consumer is, and its signs of life."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from service_kit.events.locks import owner

RELAY = "relay"
"""The `consumer_id` of what publishes in Redis: one more consumer of the service's own events."""

# A commit that loses the last instants in a crash of the server only, where losing it is harmless: the death
# of a process, which is what these writes are about, does not undo it.
RELAXED = "SELECT set_config('synchronous_commit', 'off', true);"

_SELECT = "SELECT position, batch_to, replay_from FROM event_consumers WHERE consumer_id = %s"
_REGISTER = """
INSERT INTO event_consumers (consumer_id, source, position) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
_DESCRIBE = """
UPDATE event_consumers SET source = %s, resettable = %s, repeatable = %s, owner = %s,
    heartbeat_at = clock_timestamp()
WHERE consumer_id = %s
"""
_REPORT = """
UPDATE event_consumers SET heartbeat_at = clock_timestamp(), owner = %s, source_head = %s, behind_since = %s,
    problem = %s
WHERE consumer_id = %s
"""
_ADVANCE = """
UPDATE event_consumers SET position = %s, last_processed_event_id = %s, last_processed_at = clock_timestamp(),
    batch_to = NULL
WHERE consumer_id = %s
"""
_MARK = "UPDATE event_consumers SET batch_to = %s WHERE consumer_id = %s AND position = %s"
_RESTART = """
UPDATE event_consumers SET position = %s - 1, last_processed_event_id = NULL, batch_to = NULL,
    replay_from = NULL
WHERE consumer_id = %s
"""
_REFUSE_REPLAY = "UPDATE event_consumers SET replay_from = NULL WHERE consumer_id = %s"


class CursorMovedError(Exception):
    """The cursor is not where this process left it: a replay was made, or another process is the active
    one."""


@dataclass(frozen=True)
class Cursor:
    """`position`: everything up to it is handled or kept in `event_failures`. `batch_to`: a batch up to there
    was begun and not ended. `replay_from`: an operator wants a replay from there."""

    position: int
    batch_to: int | None
    replay_from: int | None


def find(connection: Connection, consumer_id: str) -> Cursor | None:
    """The row, None when the consumer never ran here."""
    row = connection.exec_driver_sql(_SELECT, (consumer_id,)).one_or_none()
    return None if row is None else Cursor(*row)


def register(connection: Connection, consumer_id: str, source: str, position: int) -> None:
    """Make the row of a new consumer that begins behind `position`."""
    connection.exec_driver_sql(_REGISTER, (consumer_id, source, position))


def describe(
    connection: Connection, consumer_id: str, source: str, resettable: bool, repeatable: bool
) -> None:
    """Note what the present code says of the consumer, for the command line, which does not load it."""
    connection.exec_driver_sql(_DESCRIBE, (source, resettable, repeatable, owner(), consumer_id))


def lock(connection: Connection, consumer_id: str, position: int | None = None) -> Cursor:
    """The row, locked until the transaction ends. Whoever changes the consumer's failures takes this lock
    first.

    Raises:
        CursorMovedError: it is not at `position`, when that is given, or there is none.
    """
    row = connection.exec_driver_sql(f"{_SELECT} FOR UPDATE", (consumer_id,)).one_or_none()
    if row is None or (position is not None and row[0] != position):
        raise CursorMovedError(f"{consumer_id} is not at position {position}")
    return Cursor(*row)


def mark(connection: Connection, consumer_id: str, position: int, batch_to: int) -> None:
    """Note that a batch behind `position` up to `batch_to` begins: if this is still there at a start, the
    process that began it died in it."""
    if connection.exec_driver_sql(RELAXED + _MARK, (batch_to, consumer_id, position)).rowcount != 1:
        raise CursorMovedError(f"{consumer_id} is not at position {position}")


def advance(connection: Connection, consumer_id: str, position: int, event_id: str) -> None:
    """Move the cursor to `position`, the place of `event_id`, and clear the mark."""
    connection.exec_driver_sql(_ADVANCE, (position, event_id, consumer_id))


def advance_relaxed(connection: Connection, consumer_id: str, position: int, event_id: str) -> None:
    """The same where a cursor that falls back a little does no harm."""
    connection.exec_driver_sql(RELAXED + _ADVANCE, (position, event_id, consumer_id))


def report(
    connection: Connection, consumer_id: str, head: int, behind_since: datetime | None, problem: str | None
) -> None:
    """A sign of life. `head`: the source's last position; `behind_since`: when the oldest event that waits
    was recorded, None when none does; `problem`: what keeps the consumer from working, for people."""
    connection.exec_driver_sql(RELAXED + _REPORT, (owner(), head, behind_since, problem, consumer_id))


def restart(connection: Connection, consumer_id: str, position: int) -> None:
    """Put the cursor before `position`: the wanted replay begins."""
    connection.exec_driver_sql(_RESTART, (position, consumer_id))


def refuse_replay(connection: Connection, consumer_id: str) -> None:
    """Drop the wish for a replay."""
    connection.exec_driver_sql(_REFUSE_REPLAY, (consumer_id,))
