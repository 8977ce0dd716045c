"""What the failures of the two stores mean to a request."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from service_kit import db
from service_kit.errors import Unavailable

log = logging.getLogger(__name__)


class Elsewhere(Exception):
    """This side is not the truth. `epoch` is the file's when the file said so; None: ask the file."""

    def __init__(self, epoch: int | None = None) -> None:
        super().__init__(epoch)
        self.epoch = epoch


@contextmanager
def outages_as_unavailable() -> Iterator[None]:
    """A store that is away becomes Unavailable; a constraint that was broken stays what it is."""
    try:
        with db.outages_as_unavailable(), _again_when_transient():
            yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.Error as error:
        log.warning("the legacy file could not be used: %s", error)
        raise Unavailable() from error


@contextmanager
def _again_when_transient() -> Iterator[None]:
    """A transaction that lost a race or a deadlock is no outage: the next round decides anew."""
    try:
        yield
    except DBAPIError as error:
        if db.is_transient(error):
            raise Elsewhere() from error
        raise
