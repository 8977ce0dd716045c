"""Draining the file's log: by a service right after its own write to the file, and by the periodic task for all others.

A service's drain must never cost a client its answer: the work is done by one thread of the process, for all waiting
requests together, and a request waits for it only a moment. While PostgreSQL is away requests do not wait at all; the
log keeps what is missing.

A commit of the file waits for the disk. In that time the thread already takes the locks in PostgreSQL that it will
need (docs/adr/0023-a-head-start-for-the-drain.md), if it has nothing else to do.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from migration.apply import HeadStart
from migration.batch import Blocked, logged_keys
from migration.catch_up import Progress, Targets, catch_up
from migration.raw_file import RawFile
from migration.session import Session
from migration.sides import AUTH, USER, Side
from service_kit.db import engine_for
from service_kit.steps import step

log = logging.getLogger(__name__)

WAIT_SECONDS = 0.25
LOCK_MS = 1000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_MOST_ENTRIES = 16
"""More than a request logs: then others have written as well, and a head start would hold up too many."""


def drain(session: Session) -> Progress:
    """Both databases to the end of the log. Raises `Blocked` when something has to be mended first."""
    return catch_up(session.file, session.targets)


def drain_user_db(path: str | Path, engine: Engine) -> "ServiceDrain":
    """What the user service calls after a write to the file: brings `user_db` up to date."""
    return ServiceDrain(RawFile(path), USER, _own_engine(engine))


def drain_auth_db(path: str | Path, engine: Engine) -> "ServiceDrain":
    """What the auth service calls after a write to the file: brings `auth_db` up to date."""
    return ServiceDrain(RawFile(path), AUTH, _own_engine(engine))


def _own_engine(engine: Engine) -> Engine:
    """The drain's one connection to the same database; it is used again and again, without a look beforehand."""
    url = engine.url.render_as_string(hide_password=False)
    return engine_for(url, name="drain", pool_size=1, pre_ping=False, autocommit=True)


class ServiceDrain:
    """The `Drain` of one service. Called, it returns when the caller's committed write is in the database, or after
    `wait_seconds`, or at once while the database is known to be away."""

    def __init__(
        self, file: RawFile, side: Side, engine: Engine, *, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._file = file
        self._side = side
        self._engine = engine
        self._wait_seconds = wait_seconds
        self._turn = threading.Condition()
        self._thread: threading.Thread | None = None
        self._asked = 0  # runs asked for; each must begin after it was asked for
        self._done = 0
        self._idle = False
        self._expected: Collection[int] = ()  # keys of the write that is being committed
        self._cursors: dict[str, int] = {}
        self._pause = _FIRST_PAUSE
        self._closed_until = 0.0

    def __call__(self) -> None:
        with self._turn:
            if time.monotonic() < self._closed_until:
                return
            self._asked += 1
            mine = self._asked
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="drain", daemon=True)
                self._thread.start()
            self._turn.notify_all()
            if not self._turn.wait_for(lambda: self._done >= mine, self._wait_seconds):
                self._close("no answer in time")

    def announce(self, connection: sqlite3.Connection) -> None:
        """Let the thread prepare for the keys that the transaction of `connection` has logged."""
        cursor = self._cursors.get(self._side.name)
        if cursor is None or not self._idle or time.monotonic() < self._closed_until:
            return
        try:
            keys = logged_keys(connection, cursor, _MOST_ENTRIES + 1)
        except sqlite3.Error:  # nothing is captured yet
            return
        with self._turn:
            if self._idle and len(keys) <= _MOST_ENTRIES:
                self._expected = frozenset(keys)
                self._turn.notify_all()

    def withdraw(self) -> None:
        """Nothing was committed: let go of what was prepared."""
        with self._turn:
            self._expected = ()
            self._turn.notify_all()

    def _work(self) -> None:
        while True:
            with self._turn:
                self._idle = True
                self._turn.wait_for(lambda: self._asked > self._done or self._expected)
                self._idle = False
                keys = self._expected
            try:
                with self._head_start(keys) if keys else nullcontext() as start:
                    self._run_if_asked(start)
            except SQLAlchemyError:
                log.info("a head start was lost with its connection")
            except Exception:  # a fault of ours: the thread must outlive it, or every later write would wait
                log.exception("draining the file's log failed")
            with self._turn:
                self._expected = ()

    def _run_if_asked(self, start: HeadStart | None) -> None:
        with self._turn:
            self._turn.wait_for(lambda: self._asked > self._done or not self._expected, self._wait_seconds)
            if self._asked == self._done:
                return
            goal = self._asked
        problem = self._run(start)
        with self._turn:
            if problem is None:
                self._pause, self._closed_until = _FIRST_PAUSE, 0.0
            else:
                self._close(problem)
            self._done = goal
            self._turn.notify_all()

    def _head_start(self, keys: Collection[int]) -> AbstractContextManager[HeadStart | None]:
        """The locks for `keys`; nothing when they cannot be had: the run finds out why."""
        try:
            start = HeadStart(self._engine, self._side, keys, lock_ms=LOCK_MS)
        except SQLAlchemyError:
            return nullcontext()
        step("apply.head_start")
        return start

    def _run(self, start: HeadStart | None) -> str | None:
        """One run to the end of the log; the reason when it did not get there by a fault."""
        try:
            self._catch_up(start)
        except Blocked as blocked:
            return str(blocked)
        except (SQLAlchemyError, sqlite3.Error) as error:
            return type(error).__name__
        except Exception as error:  # a fault of ours; nobody waits for it to go away
            log.exception("draining the file's log failed")
            return type(error).__name__
        return None

    def _catch_up(self, start: HeadStart | None) -> None:
        targets: Targets = {self._side: self._engine}
        try:
            self._cursors = catch_up(self._file, targets, self._cursors, lock_ms=LOCK_MS, start=start).cursors
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            # the server was restarted since the last run; the pool has thrown the dead connection away
            self._cursors = catch_up(self._file, targets, lock_ms=LOCK_MS).cursors

    def _close(self, reason: str) -> None:
        """Let requests go without waiting for a while, longer each time. Called with the lock held."""
        if time.monotonic() >= self._closed_until:
            log.warning("writes are not drained to PostgreSQL for %.1f s: %s", self._pause, reason)
        self._closed_until = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
