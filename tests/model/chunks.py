"""A chunk and an applier inside PostgreSQL: look, write and commit are three moments of a transaction.

One key. A chunk reads from a copy of the table that was not taken in one moment: its rows may be younger than its
sequence, never older. It writes no version row; it leaves a done mark, and it holds its range's advisory lock shared
while an applier holds it exclusively. The core model takes each transaction as one step; here the moments between its
first statement and its commit are visible, because there the locks do their work.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tests.model.core_state import distinct, same, slot
from tests.model.search import CRASH, PLAIN, Model, Step


@dataclass(frozen=True)
class Rules:
    """The first value is the one that is built."""

    range_lock: bool = True  # a chunk and an applier of its keys exclude each other
    apply_lock: bool = True  # one applier at a time in a database
    compares: bool = True  # a chunk leaves keys alone whose version is above its own sequence
    counts_mark: Literal["always", "versionless", "never"] = (
        "always"  # a batch older than the youngest chunk is stale
    )
    mark: Literal["end", "begin"] = (
        "end"  # of the copy's reading: the log's end after its last row | before its first
    )
    checks_done: bool = True  # a chunk that is done is dropped
    clears_versions: bool = False  # tombstones go while chunks may still be in flight


class World(NamedTuple):
    """`value`, `log`: the file's; `row` (0: none), `version` (-1: none), `cursor`: committed in PostgreSQL; `mark`: how
    far the done chunk may have read, or -1; `back`: an applier has committed an older row than it found."""

    value: int
    log: int
    row: int
    version: int
    cursor: int
    mark: int
    appliers: tuple
    chunks: tuple
    writes: int
    crashes: int
    back: bool


def model(
    rules: Rules = Rules(), writes: int = 3, crashes: int = 0, appliers: int = 2, chunks: int = 2
) -> Model:
    """Two deliveries of one chunk, appliers with snapshots of any age, a client that writes and deletes."""

    def steps(world: World) -> Iterator[Step]:
        if world.writes:
            number = abs(world.value) + 1
            for value in (number, -number)[: 2 if world.value > 0 else 1]:
                yield PLAIN, "write.file", f"write {value}", world._replace(
                    value=value, log=world.log + 1, writes=world.writes - 1)  # fmt: skip
        if rules.clears_versions and world.mark >= 0 and world.version >= 0:
            yield PLAIN, "copy.finish", "drops the versions", world._replace(version=-1)
        for k, applier in distinct(world.appliers):
            yield from _applier(world, k, applier, rules)
        for k, chunk in distinct(world.chunks):
            yield from _chunk(world, k, chunk, rules)

    initial = World(1, 0, 0, -1, 0, -1, ((),) * appliers, ((),) * chunks, writes, crashes, False)
    return Model(initial, steps, _broken, _quiet)


def _inside(slots: tuple) -> bool:
    """Some process of these is between its first statement and its commit."""
    return any(process and process[0] == "inside" for process in slots)


def _applier(world: World, k: int, applier: tuple, rules: Rules) -> Iterator[Step]:
    def to(
        text: str, rest: tuple, after: World = world, action: str = "apply.database", kind: int = PLAIN
    ) -> Step:
        return kind, action, f"applier: {text}", after._replace(appliers=slot(world.appliers, k, rest))

    if not applier:
        if world.log > world.cursor:
            yield to(f"reads log to {world.log}", ("read", world.log, world.value), action="apply.read")
        return
    _, upto, value = applier
    if applier[0] == "read":
        waits = (rules.apply_lock and _inside(world.appliers)) or (rules.range_lock and _inside(world.chunks))
        counts = {"always": True, "versionless": world.version < 0, "never": False}[rules.counts_mark]
        by_chunk = counts and world.row and world.mark > upto
        if waits:
            return
        if world.cursor >= upto:
            yield to("nothing left to do", ())
        elif world.version > upto or by_chunk:
            yield to("something younger is there: reads again", ())
        else:
            yield to("begins", ("inside", upto, value))
    else:
        back = world.back or (abs(value) < abs(world.row) and world.row != 0)
        after = world._replace(row=max(value, 0), version=upto, cursor=max(world.cursor, upto), back=back)
        yield to(f"commits {value}", (), after)
    if world.crashes:
        yield to("dies", (), world._replace(crashes=world.crashes - 1), "crash", CRASH)


def _chunk(world: World, k: int, chunk: tuple, rules: Rules) -> Iterator[Step]:
    def to(
        text: str, rest: tuple, after: World = world, action: str = "chunk.database", kind: int = PLAIN
    ) -> Step:
        return kind, action, f"chunk: {text}", after._replace(chunks=slot(world.chunks, k, rest))

    if not chunk:
        if world.mark < 0:
            yield to(f"begins to read at {world.log}", ("reading", world.log), action="chunk.read")
        return
    upto = chunk[1]
    if chunk[0] == "reading":
        yield to(
            f"reads {world.value} at {world.log}", ("read", upto, world.value, world.log), action="chunk.read"
        )
    elif chunk[0] == "read":
        if rules.range_lock and _inside(world.appliers):
            return
        if rules.checks_done and world.mark >= 0:
            yield to("is done already", ())
        else:
            wanted = not rules.compares or world.version <= upto
            yield to(f"finds version {world.version}", ("inside", *chunk[1:], wanted))
    elif rules.checks_done and world.mark >= 0:
        yield to("the mark is there: rolls back", ())
    else:
        _, _, value, end, wanted = chunk
        row = value if wanted and value > 0 else world.row
        mark = end if rules.mark == "end" else upto
        yield to(f"commits {row}", (), world._replace(row=row, mark=max(world.mark, mark)))
    if world.crashes:
        yield to("dies", (), world._replace(crashes=world.crashes - 1), "crash", CRASH)


def _quiet(world: World) -> bool:
    return world.mark >= 0 and world.cursor == world.log and not any(world.appliers) and not any(world.chunks)


def _broken(world: World) -> str | None:
    if world.back:
        return "goes back: an applier wrote an older row over a newer one"
    if _quiet(world) and not same(world.row, world.value):
        lost = "resurrected" if world.value < 0 else "lost write"
        return f"{lost}: drained, PostgreSQL has {world.row}, the file {world.value}"
    return None
