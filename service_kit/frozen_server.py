"""Connections to PostgreSQL that give up on a server which no longer answers at all.

Time limits inside the server do nothing once its processes are frozen, and the kernel under them goes on confirming
what it receives, so TCP's own limits do nothing either; the client library waits without end. Here one thread of the
process watches what is under way and shuts the sockets of what has waited too long: its caller gets the error of a
broken connection, and pools throw the connection away.

A wait callback (`psycopg2.extensions.set_wait_callback`) could do the same without a thread. But it is one for the
whole process, and forbids COPY on every connection in it.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import psycopg2
from psycopg2.extensions import connection, cursor
from sqlalchemy import Engine, event

CONNECT_SECONDS = 2
"""For connecting, and for what a new connection is asked first; the client library takes no less."""
PING_SECONDS = 1.0
"""For an idle connection to show that it is alive, before it is used. Too little costs a new connection, no more."""
TICK_SECONDS = 0.1


class _Watch:
    """What is under way in this process, each with the moment (monotonic) until which it is waited for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[WatchedConnection, float] = {}
        os.register_at_fork(after_in_child=_watch.cache_clear)  # a forked child has no such thread
        threading.Thread(target=self._run, name="frozen servers", daemon=True).start()

    def begin(self, watched: "WatchedConnection", until: float) -> None:
        """Somebody waits on this connection from now on."""
        with self._lock:
            self._under_way[watched] = until

    def end(self, watched: "WatchedConnection") -> None:
        """The wait is over; behind this the connection may be closed and its number used by another file."""
        with self._lock:
            self._under_way.pop(watched, None)

    def _run(self) -> None:
        while True:
            time.sleep(TICK_SECONDS)
            now = time.monotonic()
            with self._lock:
                late = [watched for watched, until in self._under_way.items() if until < now]
                for watched in late:
                    del self._under_way[watched]
                    _shut(watched)


class WatchedConnection(connection):
    """A psycopg2 connection on which no statement, commit or rollback waits longer than `patience` (seconds)."""

    patience: float = CONNECT_SECONDS

    def __init__(self, dsn: str, *more: Any) -> None:
        super().__init__(dsn, *more)
        self.cursor_factory = WatchedCursor

    def commit(self) -> None:
        """See psycopg2."""
        with self.watched():
            super().commit()

    def rollback(self) -> None:
        """See psycopg2."""
        with self.watched():
            super().rollback()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """What happens within is waited for; OperationalError once the connection was given up."""
        watch = _watch()
        watch.begin(self, time.monotonic() + self.patience)
        try:
            yield
        finally:
            watch.end(self)


class WatchedCursor(cursor):
    """Cursor of a WatchedConnection. COPY is not watched: how long it takes is no matter of the server's health."""

    connection: WatchedConnection

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - psycopg2's name for it
        """See psycopg2."""
        with self.connection.watched():
            super().execute(query, vars)

    def executemany(self, query: Any, vars_list: Any) -> None:
        """See psycopg2; the time is for all of them together."""
        with self.connection.watched():
            super().executemany(query, vars_list)


def watch(engine: Engine, patience: float) -> None:
    """Set `patience` (seconds) on the engine's connections while they are in use; idle ones get a ping's.

    The engine has to be made with `connection_factory=WatchedConnection`.
    """

    def in_use(watched: WatchedConnection, *_: object) -> None:
        watched.patience = patience

    def idle(watched: WatchedConnection | None, *_: object) -> None:
        if watched is not None:  # None: it was thrown away
            watched.patience = PING_SECONDS

    event.listen(engine, "checkout", in_use)
    event.listen(engine, "checkin", idle)


@cache
def _watch() -> _Watch:
    return _Watch()


def _shut(watched: WatchedConnection) -> None:
    """Make whoever waits for the socket find its end. The number is copied, for closing it is not our business."""
    with contextlib.suppress(OSError, psycopg2.Error), socket.socket(fileno=os.dup(watched.fileno())) as own:
        own.shutdown(socket.SHUT_RDWR)
