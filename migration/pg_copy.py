"""COPY, in and out, on an SQLAlchemy connection's present transaction."""

from collections.abc import Iterable
from typing import IO, Any

from sqlalchemy import Connection

_BUFFER_BYTES = 1 << 18


def copy_in(connection: Connection, table: str, columns: Iterable[str], source: IO[bytes]) -> None:
    """Load the text in `source`, from its beginning, into `table`."""
    source.seek(0)
    cursor: Any = connection.connection.cursor()
    try:
        cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN", source, _BUFFER_BYTES)
    finally:
        cursor.close()


def copy_out(connection: Connection, select: str, sink: Any) -> None:
    """Give the rows of `select` to `sink.write`, line by line, as text."""
    cursor: Any = connection.connection.cursor()
    try:
        cursor.copy_expert(f"COPY ({select}) TO STDOUT", sink)
    finally:
        cursor.close()
