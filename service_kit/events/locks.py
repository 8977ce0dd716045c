"""Advisory locks: at most one process numbers events, and at most one runs each consumer."""

import os
import socket
import zlib

from sqlalchemy import Connection

_NAMESPACE = 0x45564E54

SEQUENCER = (_NAMESPACE, 0)
RETENTION = (_NAMESPACE, 1)


def hold(connection: Connection, consumer_id: str) -> bool:
    """Take the consumer's lock for as long as this connection lives; False while another process has it.

    The connection that holds it does the consumer's work as well: losing one is losing the other, so that a
    process which is no longer the active one cannot write either.
    """
    key = zlib.crc32(consumer_id.encode())
    signed = key - (1 << 32) if key >= 1 << 31 else key
    taken = connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s, %s)", (_NAMESPACE, signed))
    return bool(taken.scalar_one())


def owner() -> str:
    """This process, for people who read the tables: `host:pid`."""
    return f"{socket.gethostname()}:{os.getpid()}"
