"""Events: the steps of the consumer, in batches and event by event."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from tests.model.search import CRASH, PLAIN, Step

if TYPE_CHECKING:
    from tests.model.events import Rules, World

ATTEMPTS = 2
POISON = 1  # the event that kills who handles it


class Kept(NamedTuple):
    """An event that the cursor has passed without its effect: state retry, waiting or dead."""

    event: int
    user: int
    state: str
    attempts: int


def consumer_steps(world: "World", rules: "Rules") -> Iterator[Step]:
    """What the consumer's process can do next; a death leaves only what is committed."""
    step = world.consumer[0] if world.consumer else None
    if step is None:
        yield from _begin(world, rules)
    elif step == "batch":
        yield from _batch(world, rules)
    elif step == "advanced":
        yield from _effects(world, world.consumer[1])
    elif step == "owes_cursor":
        yield PLAIN, "consumer.batch", "moves the cursor", world._replace(
            cursor=world.consumer[1], batch_to=0, consumer=())  # fmt: skip
    else:
        yield from _alone(world, rules)
    if world.consumer and world.crashes:
        yield CRASH, "crash", "consumer", world._replace(consumer=(), crashes=world.crashes - 1)


def _next(world: "World", rules: "Rules") -> list[tuple[int, int, int]]:
    """(event, user, place in the cursor's order) of what lies behind the cursor, as far as it is readable."""
    if rules.follows == "identities":
        return [(event, user, event) for event, user, _ in world.seen if event > world.cursor]
    numbered = sorted(
        (position, event, user) for event, user, position in world.seen if position > world.cursor
    )
    return [(event, user, position) for position, event, user in numbered]


def _begin(world: "World", rules: "Rules") -> Iterator[Step]:
    events = _next(world, rules)
    if world.batch_to:
        yield (
            PLAIN,
            "consumer.isolate",
            "finds a batch that a process died in",
            _isolated(world, events, rules),
        )
    elif events:
        yield PLAIN, "consumer.batch", f"begins {[event[0] for event in events]}", world._replace(
            batch_to=events[-1][2], consumer=("batch", tuple(events)))  # fmt: skip
    for kept in world.kept:
        if kept.state == "retry" and not world.batch_to:
            yield from _retry(world, kept, rules)


def _isolated(world: "World", events: list, rules: "Rules") -> "World":
    kept = list(world.kept)
    for event, user, place in events:
        if place <= world.batch_to:
            kept.append(Kept(event, user, "waiting" if _held_up(user, kept, rules) else "retry", 0))
    return world._replace(kept=tuple(kept), cursor=world.batch_to, batch_to=0)


def _held_up(user: int, kept: list, rules: "Rules") -> bool:
    if rules.parks == "nobody":
        return False
    return any(other.user == user or rules.parks == "everybody" for other in kept)


def _batch(world: "World", rules: "Rules") -> Iterator[Step]:
    _, events = world.consumer
    blocked = [event for event in events if _held_up(event[1], list(world.kept), rules)]
    run = [event for event in events if event not in blocked]
    if any(event[0] == POISON for event in run):
        yield PLAIN, "consumer.batch", "event 1 kills the process", world._replace(consumer=())
        return
    waiting = tuple(Kept(event, user, "waiting", 0) for event, user, _ in blocked)
    last, done = events[-1][2], tuple(event[0] for event in run)
    kept = world.kept + waiting
    if rules.cursor_moves == "with_effect":
        yield PLAIN, "consumer.batch", f"commits {done} and the cursor", world._replace(
            effects=world.effects + done, cursor=last, batch_to=0, kept=kept, consumer=())  # fmt: skip
    elif rules.cursor_moves == "before":
        yield PLAIN, "consumer.batch", "commits the cursor first", world._replace(
            cursor=last, batch_to=0, kept=kept, consumer=("advanced", done))  # fmt: skip
    else:
        yield PLAIN, "consumer.batch", f"commits {done} first", world._replace(
            effects=world.effects + done, kept=kept, consumer=("owes_cursor", last))  # fmt: skip


def _effects(world: "World", done: tuple) -> Iterator[Step]:
    yield (
        PLAIN,
        "consumer.batch",
        f"commits {done}",
        world._replace(effects=world.effects + done, consumer=()),
    )


def _retry(world: "World", kept: Kept, rules: "Rules") -> Iterator[Step]:
    if kept.attempts >= ATTEMPTS:
        yield PLAIN, "consumer.alone", f"event {kept.event} is a dead letter", world._replace(
            kept=_with(world.kept, kept, kept._replace(state="dead")))  # fmt: skip
        return
    counted = kept._replace(attempts=kept.attempts + (rules.counts_attempt == "before"))
    yield PLAIN, "consumer.alone", f"attempt {counted.attempts} of event {kept.event} counted", world._replace(
        kept=_with(world.kept, kept, counted), consumer=("alone", counted))  # fmt: skip


def _alone(world: "World", rules: "Rules") -> Iterator[Step]:
    kept = world.consumer[1]
    if kept.event == POISON:
        yield PLAIN, "consumer.alone", "event 1 kills the process", world._replace(consumer=())
        return
    rest = [other for other in world.kept if other != kept]
    for at, other in enumerate(rest):  # the first that waited for it has its turn
        if other.state == "waiting" and not _held_up(other.user, rest[:at], rules):
            rest[at] = other._replace(state="retry")
    yield PLAIN, "consumer.alone", f"commits event {kept.event}", world._replace(
        effects=(*world.effects, kept.event), kept=tuple(rest), consumer=())  # fmt: skip


def _with(kept: tuple, old: Kept, new: Kept) -> tuple:
    return tuple(new if other == old else other for other in kept)
