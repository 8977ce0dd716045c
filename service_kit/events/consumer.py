"""What a consumer is. `runner` runs them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from service_kit.events import catalog
from service_kit.events.envelope import Event

Handler = Callable[[Connection, Event], None]
BatchHandler = Callable[[Connection, Sequence[Event]], None]


@dataclass(frozen=True)
class Consumer:
    """A named reader of one service's events whose effects live in its own service's database.

    Attributes:
        name: `consumer_id` in `event_consumers`; unique over all services, never reused for something else.
        source: the service whose events it reads: "user" or "auth".
        types: the event types that it handles; other known types pass by.
        handle: called with a connection in the transaction in which the cursor moves, and one event. It must
            do its writes there, neither commit nor roll back, and raise when it failed: the event is tried
            again, later events of the same user wait. Its effects in that transaction happen once; anything
            outside of it may be repeated and takes `event.id` as idempotency key. Raising
            `service_kit.errors.Unavailable` says that it is not the event's fault: tried again for as long as
            it takes, never a dead letter.
        handle_many: the same for several events at once, in their order, for those whose writes fit into a
            few statements. Where it is given, batches go through it, and `handle` gets events that run alone.
        reset: empties the projection, so that a replay from position 1 rebuilds it. None: it cannot be.
        repeatable: handling an event again, in order, changes nothing: a replay may start anywhere.
    """

    name: str
    source: str
    types: frozenset[str]
    handle: Handler
    handle_many: BatchHandler | None = None
    reset: Callable[[Connection], None] | None = None
    repeatable: bool = False

    def concerns(self, event: Event) -> bool:
        """Whether it is ours, or of a type that nobody here knows and that might be ours in a later
        release."""
        return event.type in self.types or event.type not in catalog.KEYS

    def can_read(self, event: Event) -> bool:
        """Whether it is ours and this release knows its version."""
        return event.type in self.types and event.version == catalog.VERSION

    def key_of(self, event: Event) -> str:
        """What waits together: an unknown type holds nobody up; an unknown version of a type of ours does,
        since its order matters."""
        return event.key if event.type in self.types else f"event:{event.id}"
