"""Statements that travel to PostgreSQL together, for where round trips are what a client waits for.

Each statement still takes a snapshot of its own (READ COMMITTED), so a lock taken by one is held before the next one
looks.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from sqlalchemy import Connection, CursorResult, Engine
from sqlalchemy.exc import DBAPIError

BEGIN, COMMIT = "BEGIN", "COMMIT"


@contextmanager
def transaction_by_messages(engine: Engine) -> Iterator[Connection]:
    """A connection in autocommit mode, whose first message has to start with BEGIN: the driver would send that on a
    trip of its own. The last message may end with COMMIT; else it follows at the block's end. ROLLBACK when that
    raises."""
    with engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        if not driver.autocommit:  # an engine that is made so saves switching it there and back
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        try:
            yield connection
            if driver.info.transaction_status != TRANSACTION_STATUS_IDLE:
                connection.exec_driver_sql(COMMIT)
        except BaseException:
            if not connection.invalidated:
                with suppress(DBAPIError):
                    connection.exec_driver_sql("ROLLBACK")
            raise


class Message:
    """Collects what functions would execute on `connection`; `send` executes it all."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._cursor: Any = connection.connection.cursor()
        self._parts: list[str] = []

    @property
    def collector(self) -> Connection:
        """To be handed to functions that execute statements and do not look at their results."""
        return cast(Connection, self)

    def exec_driver_sql(self, statement: str, parameters: Any = None) -> None:
        """Add a statement with its parameters."""
        self._parts.append(self._cursor.mogrify(statement, parameters).decode())

    def send(self) -> CursorResult[Any]:
        """Execute; the result is that of the last statement."""
        text = "; ".join(self._parts)
        self._parts = []
        return self._connection.exec_driver_sql(text.replace("%", "%%"))
