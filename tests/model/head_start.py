"""A drain that takes its locks before it reads the file, while a write is being committed there.

One key in one database. The core model takes an applier's transaction as one step behind its snapshot of the file;
here a *start* holds the locks (of the phase row, of the appliers, of the key), sees phase and version under them, reads
the file only then, and commits. Beside it work ordinary appliers, a late chunk, a client and a coordinator that moves
the truth to PostgreSQL and back.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.core_state import distinct, slot
from tests.model.search import CRASH, OPERATOR, PLAIN, Model, Step


@dataclass(frozen=True)
class Rules:
    """The protocol as it is built."""

    phase_lock: bool = True  # a start keeps the phase row from moving until its commit ...
    apply_lock: bool = True  # ... and other appliers from writing
    checks_epoch: bool = True  # the phase that was seen is compared with the epoch that was read


class World(NamedTuple):
    """`epoch`, `value`, `log`: the file's; `open`: the value of a write that is not committed, or 0; `phase`: 2 * epoch
    + fenced, `row`, `version` (-1: none), `cursor`, `mark` (of the chunk, -1: none): the database's; `truth`: the
    newest acknowledged write; `back`: an applier has committed an older row than it found."""

    epoch: int
    value: int
    log: int
    open: int
    phase: int
    row: int
    version: int
    cursor: int
    mark: int
    truth: int
    starts: tuple
    appliers: tuple
    chunk: tuple
    mover: str
    writes: int
    moves: int
    crashes: int
    back: bool


def model(
    rules: Rules = Rules(),
    writes: int = 3,
    moves: int = 3,
    crashes: int = 0,
    starts: int = 2,
    appliers: int = 1,
) -> Model:
    """`moves`: cutovers and rollbacks. Two services' drains may each have made a start, though only one gets on."""

    def steps(world: World) -> Iterator[Step]:
        yield from _client(world)
        for k, start in distinct(world.starts):
            yield from _start(world, k, start, rules)
        for k, applier in distinct(world.appliers):
            yield from _applier(world, k, applier, rules)
        yield from _chunk(world)
        yield from _mover(world, rules)

    initial = World(
        0,
        1,
        1,
        0,
        0,
        0,
        -1,
        0,
        -1,
        1,
        ((),) * starts,
        ((),) * appliers,
        (),
        "",
        writes,
        moves,
        crashes,
        False,
    )
    return Model(initial, steps, _broken, _quiet)


def _held(world: World, lock: bool) -> bool:
    """A start holds this lock."""
    return lock and any(world.starts)


def _client(world: World) -> Iterator[Step]:
    if world.open:
        yield PLAIN, "write.file", f"commits {world.open}", world._replace(
            value=world.open, log=world.log + 1, truth=world.open, open=0)  # fmt: skip
        yield PLAIN, "write.file", "rolls back", world._replace(open=0)
    elif world.writes:
        new, left = world.truth + 1, world.writes - 1
        if not world.epoch & 1 and world.mover != "locked":
            yield PLAIN, "write.file", f"writes {new}", world._replace(open=new, writes=left)
        if world.phase == 2 * world.epoch and world.epoch & 1:
            yield PLAIN, "write.database", f"commits {new}", world._replace(row=new, truth=new, writes=left)


def _written(world: World, upto: int, value: int, phase: int) -> World:
    """The world after a batch in the database, which has followed to `phase`."""
    return world._replace(
        row=value,
        version=upto,
        cursor=max(world.cursor, upto),
        phase=max(world.phase, phase),
        back=world.back or value < world.row,
    )


def _start(world: World, k: int, start: tuple, rules: Rules) -> Iterator[Step]:
    def to(text: str, rest: tuple, after: World = world, action: str = "apply.database") -> Step:
        return PLAIN, action, f"start: {text}", after._replace(starts=slot(world.starts, k, rest))

    if not start:
        if not _held(world, rules.apply_lock) and (world.open or world.log > world.cursor):
            seen = (world.phase, world.cursor, world.version, world.mark)
            yield to(f"sees phase {world.phase}", (seen, ()), action="apply.start")
        return
    seen, batch = start
    if not batch:
        yield to("is not needed", (), action="apply.start")
        if not world.epoch & 1:
            read = (world.epoch, world.log, world.value)
            yield to(f"reads log to {world.log}", (seen, read), action="apply.read")
    else:
        yield from _start_commits(world, seen, batch, rules, to)
    if world.crashes:
        yield CRASH, "crash", "start", world._replace(
            starts=slot(world.starts, k, ()), crashes=world.crashes - 1)  # fmt: skip


def _start_commits(
    world: World, seen: tuple, batch: tuple, rules: Rules, to: Callable[..., Step]
) -> Iterator[Step]:
    phase, cursor, version, mark = seen
    epoch, upto, value = batch
    if rules.checks_epoch and phase > 2 * epoch:
        yield to("another epoch: batch dropped", ())
    elif rules.checks_epoch and phase < 2 * epoch:
        yield to("behind: lets go, follows and begins anew", ())
    elif cursor >= upto:
        yield to("nothing left to do", ())
    elif version > upto or mark > upto:
        yield to("something younger was there: reads again", ())
    else:
        yield to(f"commits {value}", (), _written(world, upto, value, 0))


def _applier(world: World, k: int, applier: tuple, rules: Rules) -> Iterator[Step]:
    def to(text: str, rest: tuple, after: World = world, action: str = "apply.database") -> Step:
        return PLAIN, action, f"applier: {text}", after._replace(appliers=slot(world.appliers, k, rest))

    if not applier:
        if world.log > world.cursor and not world.epoch & 1:
            yield to(f"reads log to {world.log}", (world.epoch, world.log, world.value), action="apply.read")
        return
    epoch, upto, value = applier
    if _held(world, rules.apply_lock):
        return
    if world.phase > 2 * epoch:
        yield to("another epoch: batch dropped", ())
    elif world.cursor >= upto or world.version > upto or world.mark > upto:
        yield to("nothing to do, or reads again", ())
    else:
        yield to(f"commits {value}", (), _written(world, upto, value, 2 * epoch))


def _chunk(world: World) -> Iterator[Step]:
    if not world.chunk:
        if world.mark < 0 and not world.epoch:
            yield PLAIN, "chunk.read", f"reads {world.value} at {world.log}", world._replace(
                chunk=(world.log, world.value))  # fmt: skip
        return
    upto, value = world.chunk
    if any(world.starts):  # the lock of the key
        return
    if world.phase > 0 or world.mark >= 0:
        yield PLAIN, "chunk.database", "too late", world._replace(chunk=())
    elif world.cursor >= upto:  # the appliers are brought so far first
        row = value if world.version <= upto else world.row
        yield PLAIN, "chunk.database", f"commits {row}", world._replace(row=row, mark=upto, chunk=())


def _mover(world: World, rules: Rules) -> Iterator[Step]:
    behind = world.phase < 2 * world.epoch
    held = _held(world, rules.phase_lock)
    if behind and not held:
        yield PLAIN, "follow", f"to epoch {world.epoch}", world._replace(phase=2 * world.epoch)
    if world.mover == "locked":
        yield from _cutover(world, rules)
    elif world.mover:
        yield from _rollback(world)
    elif world.moves and not behind:
        if not world.epoch & 1 and not world.open:
            yield OPERATOR, "cutover.lock", "holds the file", world._replace(mover="locked")
        if world.epoch & 1 and not held:
            yield OPERATOR, "rollback.fence", "fences the database", world._replace(
                phase=world.phase + 1, mover="fenced")  # fmt: skip


def _cutover(world: World, rules: Rules) -> Iterator[Step]:
    if world.cursor < world.log:
        if not _held(world, rules.apply_lock):
            yield PLAIN, "cutover.drain", f"to log {world.log}", _written(
                world, world.log, world.value, 2 * world.epoch)  # fmt: skip
        yield PLAIN, "cutover.commit", "gives up: a lock did not come", world._replace(mover="")
    else:
        yield PLAIN, "cutover.commit", "PostgreSQL is the truth", world._replace(
            epoch=world.epoch + 1, moves=world.moves - 1, mover="")  # fmt: skip


def _rollback(world: World) -> Iterator[Step]:
    yield PLAIN, "rollback.commit", "the file is the truth", world._replace(
        epoch=world.epoch + 1, value=world.row, moves=world.moves - 1, mover="")  # fmt: skip


def _quiet(world: World) -> bool:
    busy = world.open or world.mover or any(world.starts) or any(world.appliers) or world.chunk
    drained = bool(world.epoch & 1) or world.cursor == world.log
    return not busy and drained and world.phase == 2 * world.epoch


def _broken(world: World) -> str | None:
    if world.back:
        return "goes back: an applier wrote an older row over a newer one"
    if world.epoch & 1:
        if world.phase == 2 * world.epoch and world.row != world.truth:
            return f"lost write: PostgreSQL is the truth and has {world.row}, acknowledged was {world.truth}"
    elif world.value != world.truth:
        return f"lost write: the file is the truth and has {world.value}, acknowledged was {world.truth}"
    elif _quiet(world) and world.row != world.value:
        return f"lost write: drained, PostgreSQL has {world.row}, the file {world.value}"
    return None
