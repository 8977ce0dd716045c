"""What the failures of the two stores mean to a request."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service_kit.errors import Unavailable

log = logging.getLogger(__name__)

_TRANSIENT = ("40001", "40P01")  # serialization failure, deadlock: the transaction can simply run again


class Elsewhere(Exception):
    """This side is not the truth. `epoch` is the file's when the file said so; None: ask the file."""

    def __init__(self, epoch: int | None = None) -> None:
        super().__init__(epoch)
        self.epoch = epoch


@contextmanager
def outages_as_unavailable() -> Iterator[None]:
    """A store that is away becomes Unavailable; a constraint that was broken stays what it is."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.Error as error:
        log.warning("the legacy file could not be used: %s", error)
        raise Unavailable() from error
    except PoolTimeout as error:
        raise Unavailable() from error
    except DBAPIError as error:
        code: str | None = getattr(error.orig, "pgcode", None)
        if code in _TRANSIENT:
            raise Elsewhere() from error
        if not error.connection_invalidated and not _is_outage(error, code):
            raise
        log.warning("the database could not be used: %s", error.orig)
        raise Unavailable() from error


def _is_outage(error: DBAPIError, code: str | None) -> bool:
    """Whether the server is away or going away, rather than refusing this statement."""
    if code is None:
        return type(error.orig).__name__ in ("OperationalError", "InterfaceError")
    return code[:2] in ("08", "57", "53") or code == "55P03"
