"""Identifiers that sort by the time of their making."""

import os
import time
import uuid


def uuid7(now_ms: int | None = None) -> uuid.UUID:
    """A version 7 UUID (RFC 9562): 48 bits of Unix time in milliseconds, the rest random.

    `now_ms` stands for the clock where a test needs a given time.
    """
    milliseconds = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF000 << 64) | (0x7000 << 64)
    value = value & ~(0xC000 << 48) | (0x8000 << 48)
    return uuid.UUID(int=value)


def uuid7_milliseconds(value: uuid.UUID) -> int:
    """The Unix time in milliseconds that a version 7 UUID begins with."""
    if value.version != 7:
        raise ValueError("not a version 7 UUID")
    return value.int >> 80
