"""Locks by which appliers and chunks of the bulk copy exclude each other where they share keys.

The key space is folded onto 1,024 advisory locks, 4,096 neighbouring keys to a lock. A chunk holds the locks of its
keys shared (chunks of one plan never share a key), an applier holds those of its keys exclusively, both until their
transaction ends and both in ascending order, so that nobody can wait in a circle. Nothing has to be known about the
plan, so none can be missed: an applier simply always takes them.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

RANGE_LOCK = 0x4D470002
_KEY_BITS = 12
_LOCKS = 1024


def lock_keys(connection: Connection, keys: Iterable[int]) -> None:
    """For an applier, before it reads or writes a row of `keys`: waits for the chunks that hold one of them."""
    _lock(connection, "pg_advisory_xact_lock", {_lock_of(key) for key in keys})


def lock_range(connection: Connection, first: int, last: int) -> None:
    """For a chunk whose keys lie within `first` to `last`: waits for the appliers that hold one of them."""
    start, end = first >> _KEY_BITS, last >> _KEY_BITS
    numbers = range(start, min(end, start + _LOCKS - 1) + 1)
    _lock(connection, "pg_advisory_xact_lock_shared", {number % _LOCKS for number in numbers})


def _lock_of(key: int) -> int:
    return (key >> _KEY_BITS) % _LOCKS


def _lock(connection: Connection, function: str, numbers: set[int]) -> None:
    if numbers:
        connection.exec_driver_sql(
            f"SELECT {function}({RANGE_LOCK}, number) FROM unnest(%(numbers)s::int[]) AS number",  # noqa: S608
            {"numbers": sorted(numbers)},
        )
