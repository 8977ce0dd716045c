"""What the router tells of a write to the legacy file, for whoever brings it to PostgreSQL."""

import sqlite3
from typing import Protocol


class Drain(Protocol):
    """Brings the file's log to PostgreSQL. What `__call__` raises is logged and costs nothing but lag."""

    def __call__(self) -> None:
        """A write to the file is committed."""

    def announce(self, connection: sqlite3.Connection) -> None:
        """The write transaction of `connection` is about to be committed. Must not raise, nor wait."""

    def withdraw(self) -> None:
        """What may have been announced was not committed."""
