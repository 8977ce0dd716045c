"""Events: transactions that append, the sequencer that numbers what is visible, one consumer with its failures.

An event takes its identity at INSERT and is seen at COMMIT. Each belongs to a user; the first event of user 0 kills
every process that handles it. The consumer handles a batch in one transaction with its cursor; a batch that a process
died in is taken apart, each event then runs alone, its attempt counted before it runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tests.model.core_state import distinct, slot
from tests.model.events_consumer import Kept, consumer_steps
from tests.model.search import PLAIN, Model, Step


@dataclass(frozen=True)
class Rules:
    """The first value is the one that is built."""

    follows: Literal["positions", "identities"] = "positions"  # what the consumer's cursor runs over
    snapshot: Literal["after_lock", "before_lock"] = (
        "after_lock"  # of a sequencer: its lock is a statement of its own
    )
    cursor_moves: Literal["with_effect", "before", "after"] = "with_effect"
    counts_attempt: Literal["before", "never"] = "before"  # the handler runs
    parks: Literal["user", "nobody", "everybody"] = "user"  # whom a failed event holds up


class World(NamedTuple):
    """`seen`: (identity, user, position or 0) of visible events; `effects`: events in the order of their effects."""

    next_id: int
    open: tuple
    seen: tuple
    head: int
    lock: bool
    sequencers: tuple
    cursor: int
    batch_to: int
    kept: tuple[Kept, ...]
    effects: tuple
    consumer: tuple
    to_write: tuple
    crashes: int


def model(rules: Rules = Rules(), users: tuple = (0, 1, 0), crashes: int = 1, sequencers: int = 2) -> Model:
    """The events are of these users; transactions begin in this order and commit in any."""

    def steps(world: World) -> Iterator[Step]:
        yield from _transactions(world)
        for k, sequencer in distinct(world.sequencers):
            yield from _sequencer(world, k, sequencer, rules)
        yield from consumer_steps(world, rules)

    initial = World(1, (), (), 0, False, ((),) * sequencers, 0, 0, (), (), (), users, crashes)
    return Model(initial, steps, lambda world: _broken(world, rules), lambda world: _quiet(world, rules))


def _transactions(world: World) -> Iterator[Step]:
    if world.to_write:
        event = (world.next_id, world.to_write[0])
        yield PLAIN, "events.append", f"event {event[0]} of user {event[1]} takes its identity", world._replace(
            next_id=world.next_id + 1, open=(*world.open, event), to_write=world.to_write[1:])  # fmt: skip
    for event in world.open:
        before = [other for other in world.open if other[0] < event[0] and other[1] == event[1]]
        if not before:  # events of one user wait for each other at the user's row
            yield PLAIN, "events.append", f"event {event[0]} is seen", world._replace(
                open=tuple(other for other in world.open if other != event),
                seen=tuple(sorted((*world.seen, (*event, 0)))))  # fmt: skip


def _sequencer(world: World, k: int, sequencer: tuple, rules: Rules) -> Iterator[Step]:
    def to(text: str, rest: tuple, **change: object) -> Step:
        return (
            PLAIN,
            "sequencer.number",
            text,
            world._replace(sequencers=slot(world.sequencers, k, rest), **change),
        )

    unnumbered = tuple(event[0] for event in world.seen if not event[2])
    if not sequencer:
        if unnumbered and rules.snapshot == "before_lock":
            yield to("looks before it has the lock", ("seen", unnumbered, world.head))
        elif unnumbered and not world.lock:
            yield to("has the lock, then looks", ("locked", unnumbered, world.head), lock=True)
    elif sequencer[0] == "seen":
        if not world.lock:
            yield to("has the lock", ("locked", *sequencer[1:]), lock=True)
    else:
        _, events, head = sequencer
        given = {event: head + n for n, event in enumerate(events, 1)}
        seen = tuple((event, user, position or given.get(event, 0)) for event, user, position in world.seen)
        yield to(f"gives {given}", (), seen=seen, head=head + len(events), lock=False)


def _at_rest(world: World, rules: Rules) -> bool:
    if (
        world.open
        or world.to_write
        or world.lock
        or any(world.sequencers)
        or world.consumer
        or world.batch_to
    ):
        return False
    if any(not event[2] for event in world.seen) or any(kept.state == "retry" for kept in world.kept):
        return False
    last = max((event[2] if rules.follows == "positions" else event[0]) for event in world.seen)
    return world.cursor >= last


def _quiet(world: World, rules: Rules) -> bool:
    return _at_rest(world, rules)


def _broken(world: World, rules: Rules) -> str | None:
    if len(set(world.effects)) != len(world.effects):
        return f"doubled: effects {world.effects}"
    user_of = {event: user for event, user, _ in world.seen}
    for user in set(user_of.values()):
        own = [event for event in world.effects if user_of[event] == user]
        if own != sorted(own):
            return f"out of order: effects {world.effects}"
    if world.open or world.to_write or not _at_rest(world, rules):
        return None
    dead = [kept.user for kept in world.kept if kept.state == "dead"]
    missing = [event for event, user, _ in world.seen if event not in world.effects and user not in dead]
    if missing:
        return f"lost event: {missing} have had no effect"
    return None
