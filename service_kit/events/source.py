"""Where a consumer reads events: its own database, or another service's feed (`feed`). Both look the same."""

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Engine

from service_kit.events import store
from service_kit.events.envelope import Event


@dataclass(frozen=True)
class Page:
    """`events` behind the asked position, in order; the positions of the oldest and newest event in the
    store."""

    events: list[Event]
    first: int
    head: int


class EventsMissingError(Exception):
    """The source cannot go on where the cursor is: what follows was dropped, or the source was set back."""


class Source(Protocol):
    """A store of numbered events."""

    def read(self, consumer_id: str, after: int, limit: int) -> Page:
        """At most `limit` events behind `after`. It also says that `consumer_id` has all up to `after` for
        good.

        Raises:
            service_kit.errors.Unavailable, sqlalchemy.exc.DBAPIError: out of reach at present.
        """


class StoreSource:
    """The store in the consumer's own database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(self, consumer_id: str, after: int, limit: int) -> Page:  # noqa: ARG002, the cursor is in the database
        """See `Source`."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            events = store.read_after(connection, after, limit)
            first, head = store.bounds(connection)
        return Page(events, first, max(head, events[-1].position if events else 0))


def check_continuous(page: Page, after: int) -> None:
    """Positions have no gaps: one between the cursor and the page is a loss, and never to be stepped over.

    Raises:
        EventsMissingError
    """
    if page.head < after:
        raise EventsMissingError(f"the source ends at {page.head}, the cursor is at {after}: it was set back")
    following = page.events[0].position if page.events else page.first
    if following > after + 1:
        raise EventsMissingError(f"events {after + 1} to {following - 1} are no longer in the source")
