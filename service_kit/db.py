"""PostgreSQL engines for the services, and outages told apart from mistakes.

Every statement is bounded in time by the server, and for a service even when the server is frozen. A pooled connection
that died with its server is noticed before it is used, so a service recovers by itself when the database is back.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service_kit import frozen_server
from service_kit.errors import Unavailable

log = logging.getLogger(__name__)

_SERVICE_POOL = 16
_SERVICE_LOCK_SECONDS = 3.0
"""A statement's wait for a lock; a move of the migration holds one for a fraction of that."""
_LATE_SECONDS = 0.5
"""How much later than its own limit a server may tell that a statement has met it."""
_AWAY_CLASSES = ("08", "53", "57")  # connection exception, insufficient resources, operator intervention
_AWAY_CODES = ("25006", "55P03")  # read-only transaction (a standby), lock not available
_TRANSIENT_CODES = ("40001", "40P01")  # serialization failure, deadlock


def engine_for(
    url: str,
    *,
    name: str,
    pool_size: int = 8,
    statement_seconds: float = 5.0,
    lock_seconds: float = 3.0,
    pre_ping: bool = True,
    gives_up: bool = False,
    autocommit: bool = False,
) -> Engine:
    """An engine whose sessions are in UTC and bounded: `statement_seconds` a statement, `lock_seconds` a lock
    wait.

    `name` shows in pg_stat_activity. At most `pool_size` connections; a caller waits 2 s for one, then gets
    Unavailable out of `transaction`. Without `pre_ping` a round trip is saved, and who uses a connection that died
    with its server finds out by an error. With `gives_up` a statement also ends when the server is frozen and
    cannot end it itself, half a second later; nothing may then set the limits of a statement higher on its own. With
    `autocommit` each statement is a transaction of its own, unless the caller sends BEGIN himself.
    """
    options = {
        "statement_timeout": f"{statement_seconds * 1000:.0f}",
        "lock_timeout": f"{lock_seconds * 1000:.0f}",
        "idle_in_transaction_session_timeout": "30000",
        "timezone": "UTC",
    }
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=2,
        pool_pre_ping=pre_ping,
        pool_recycle=1800,
        **({"isolation_level": "AUTOCOMMIT"} if autocommit else {}),
        hide_parameters=True,  # they hold password hashes, and errors end up in logs
        connect_args={
            "connect_timeout": frozen_server.CONNECT_SECONDS,
            "application_name": name,
            "options": " ".join(f"-c {key}={value}" for key, value in options.items()),
            "keepalives_idle": 30,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "connection_factory": frozen_server.WatchedConnection if gives_up else None,
        },
    )
    if gives_up:
        frozen_server.watch(engine, statement_seconds + _LATE_SECONDS)
    return engine


def service_engine(url: str, *, name: str, timeout_seconds: float) -> Engine:
    """The engine behind a service's requests, on which no statement waits longer than `timeout_seconds`."""
    return engine_for(
        url,
        name=name,
        pool_size=_SERVICE_POOL,
        statement_seconds=timeout_seconds,
        lock_seconds=min(_SERVICE_LOCK_SECONDS, timeout_seconds),
        gives_up=True,
    )


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction, committed at the block's end; a database that is away raises Unavailable."""
    with outages_as_unavailable(), engine.begin() as connection:
        yield connection


@contextmanager
def outages_as_unavailable() -> Iterator[None]:
    """A server that is away, overloaded or stopping becomes Unavailable; other errors stay what they are."""
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable() from error
    except DBAPIError as error:
        if not is_outage(error):
            raise
        log.warning("the database could not be used: %s", error.orig)
        raise Unavailable() from error


def is_outage(error: DBAPIError) -> bool:
    """Whether the same request may succeed later, rather than being refused for what it says."""
    code: str | None = getattr(error.orig, "pgcode", None)
    if error.connection_invalidated:
        return True
    if code is None:
        return type(error.orig).__name__ in ("OperationalError", "InterfaceError")
    return code[:2] in _AWAY_CLASSES or code in _AWAY_CODES or code in _TRANSIENT_CODES


def is_transient(error: DBAPIError) -> bool:
    """Whether the transaction lost a race, and can simply run again."""
    return getattr(error.orig, "pgcode", None) in _TRANSIENT_CODES


def broken_constraint(error: DBAPIError) -> str | None:
    """The name of the constraint that the statement broke, None when it was something else."""
    diagnostics = getattr(error.orig, "diag", None)
    name: str | None = getattr(diagnostics, "constraint_name", None)
    return name


def insert_rows(
    connection: Connection, into: str, rows: Sequence[Sequence[Any]], behind: str = "", row: str | None = None
) -> None:
    """`INSERT INTO {into} VALUES ... {behind}`, all rows in one statement; nothing without rows.

    `row`: the place holders of one row in brackets, where they are more than one `%s` per value. PostgreSQL plans
    VALUES faster than arrays that travel as parameters, which counts where a client waits for a single row.
    """
    if rows:
        place_holders = row or f"({', '.join(['%s'] * len(rows[0]))})"
        connection.exec_driver_sql(
            f"INSERT INTO {into} VALUES {', '.join([place_holders] * len(rows))} {behind}",  # noqa: S608
            tuple(chain.from_iterable(rows)),
        )
