"""Gives visible events their positions: 1, 2, 3... without gaps, in the order in which commits became
visible.

An identity is taken at INSERT and seen at COMMIT, so a reader behind a cursor over identities skips whoever
commits late. Positions are given to rows that are already visible, by one process at a time, hence nothing
can appear behind a position that was read. `docs/adr/0002` weighs the alternatives.
"""

import time
from collections import deque
from collections.abc import Callable

from sqlalchemy import Connection, Engine

from service_kit.events.cursors import RELAXED
from service_kit.events.locks import SEQUENCER, owner
from service_kit.events.loop import Loop
from service_kit.steps import step

BATCH = 5000

_LATE_SECONDS = 2.0
_SWEEP_SECONDS = 1.0
_SWEEP_SHARE = 20  # a sweep may take one twentieth of the time

# Ordered, so that the planner takes the index even when its statistics are of before the last numbering.
_ANY = "SELECT id FROM events WHERE position IS NULL AND id > %s ORDER BY id LIMIT 1"
_LOCK = "SELECT pg_try_advisory_xact_lock(%s, %s)"
_LAST = "SELECT last_position FROM event_head WHERE id = 1 FOR UPDATE"
# By ctid: nobody else touches these rows, and no statistics can talk the planner into reading the whole
# table.
_NUMBER = """
WITH unnumbered AS (
    SELECT ctid AS place, id FROM events WHERE position IS NULL AND id > %s ORDER BY id LIMIT %s
), numbered AS (
    UPDATE events SET position = %s + new.n
    FROM (SELECT place, row_number() OVER (ORDER BY id) AS n FROM unnumbered) AS new
    WHERE events.ctid = new.place AND events.position IS NULL
    RETURNING events.id
)
SELECT (SELECT count(*) FROM unnumbered), count(*), max(id) FROM numbered
"""
_ADVANCE = "UPDATE event_head SET last_position = %s WHERE id = 1"
_HEARTBEAT = "UPDATE event_head SET heartbeat_at = clock_timestamp(), owner = %s WHERE id = 1"


def number(connection: Connection, above: int = 0, limit: int = BATCH) -> tuple[int, int]:
    """Number at most `limit` visible events with an identity above `above`, in a transaction of its own.

    The lock is taken in its own statement, at READ COMMITTED: the next statement's snapshot is then younger
    than the commit of whoever held the lock before, and cannot show its rows as unnumbered.

    Returns:
        (how many, the highest identity among them); (0, 0) when there are none or another process is
        numbering.
    """
    with connection.begin():
        if not connection.exec_driver_sql(_LOCK, SEQUENCER).scalar_one():
            return 0, 0
        step("sequencer.locked")
        last = connection.exec_driver_sql(_LAST).scalar_one()
        found, count, highest = tuple(connection.exec_driver_sql(_NUMBER, (above, limit, last)).one())
        if not count:
            return 0, 0
        if found != count:
            raise RuntimeError(f"{found} events to number, {count} numbered: somebody else alters events")
        connection.exec_driver_sql(_ADVANCE, (last + count,))
        step("sequencer.before_commit")
    step("sequencer.committed")
    return count, highest


class Sequencer(Loop):
    """Numbers what is visible, every `pause` seconds, and calls `on_numbered` after each commit that did.

    While some transaction stays open, the index of unnumbered rows keeps an entry of every row numbered
    since: a scan of all of it gets slower by the minute. So the usual pass looks above the identities that
    were numbered two seconds ago, and a sweep over everything, at least once a second, finds those that
    commit later than that.
    """

    def __init__(self, engine: Engine, on_numbered: Callable[[], None], pause: float = 0.02) -> None:
        super().__init__("sequencer")
        self._engine = engine
        self._on_numbered = on_numbered
        self._pause = pause
        self._numbered: deque[tuple[float, int]] = deque()
        self._floor = 0
        self._next_sweep = 0.0
        self._next_heartbeat = 0.0

    def session(self) -> None:
        """Work until the stop or a database error."""
        with (
            self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watch,
            self._engine.connect().execution_options(isolation_level="READ COMMITTED") as work,
        ):
            while not self.stopping:
                busy = self._pass(watch, work)
                self._beat(watch)
                self.connected()
                if not busy:
                    self.wait(self._pause)

    def _pass(self, watch: Connection, work: Connection) -> bool:
        """Whether there may be more to number at once."""
        started = time.monotonic()
        above = self._floor_at(started)
        sweeping = started >= self._next_sweep
        if sweeping:
            above = 0
        count, highest = 0, 0
        if watch.exec_driver_sql(_ANY, (above,)).first():
            count, highest = number(work, above)
        if sweeping:
            took = time.monotonic() - started
            self._next_sweep = time.monotonic() + max(_SWEEP_SECONDS, took * _SWEEP_SHARE)
        if count:
            self._numbered.append((time.monotonic(), highest))
            self._on_numbered()
        return count == BATCH

    def _floor_at(self, now: float) -> int:
        while self._numbered and self._numbered[0][0] < now - _LATE_SECONDS:
            self._floor = max(self._floor, self._numbered.popleft()[1])
        return self._floor

    def _beat(self, watch: Connection) -> None:
        if time.monotonic() >= self._next_heartbeat:
            watch.exec_driver_sql(RELAXED + _HEARTBEAT, (owner(),))
            self._next_heartbeat = time.monotonic() + 1.0
