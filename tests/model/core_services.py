"""Core model: what the services, the monolith and their readers do."""

from collections.abc import Iterator

from tests.model.core_state import (
    DATABASES,
    DUAL_WRITE,
    FENCED,
    FINISHED,
    HALVES,
    LEGACY,
    READY,
    World,
    file_fenced,
    file_used,
    follow,
    is_open,
    put,
    set_phase,
)  # fmt: skip
from tests.model.rules import Bounds, Rules
from tests.model.search import OPERATOR, PLAIN, Step


def file_writes(world: World, rules: Rules, bounds: Bounds) -> Iterator[Step]:
    """Writes in the file: services read the epoch in the transaction, the monolith only meets the fence."""
    file = world.file
    if file.stage == LEGACY and not file.locked:
        yield OPERATOR, "dual_write.install", "capture goes into the file", world._replace(
            file=file._replace(stage=DUAL_WRITE))  # fmt: skip
    if not world.left.writes or file.locked or file_fenced(file, rules):
        return
    log = file.log + (LEGACY < file.stage < FINISHED)
    left = world.left._replace(writes=world.left.writes - 1)
    new = tuple(abs(number) + 1 for number in world.truth)
    used = [x for x in (0, 1) if file_used(world, x, rules)]
    changes = [(f"{HALVES[x]} written", put(file.rows, x, new[x]), put(world.truth, x, new[x]))
               for x in used if file.rows[x] > 0]  # fmt: skip
    gone = (-new[0], -new[1])
    if bounds.deletes and len(used) == 2 and min(file.rows) > 0:
        changes.append(("row deleted", gone, gone))
    if bounds.deletes and len(used) == 2 and min(file.rows) < 0:
        changes.append(("row inserted", new, new))
    for text, rows, truth in changes:
        yield PLAIN, "write.file", f"{text} in the file", world._replace(
            file=file._replace(rows=rows, log=log), truth=truth, left=left)  # fmt: skip


def _database_write(world: World, at: int, bounds: Bounds) -> Iterator[Step]:
    db = world.dbs[at]
    number = abs(world.truth[at]) + 1
    for value in (number, -number) if bounds.deletes and db.value > 0 else (number,):
        yield (
            PLAIN,
            "write.database",
            f"{HALVES[at]} {'written' if value > 0 else 'deleted'} in {DATABASES[at]}",
            (
                world._replace(
                    dbs=put(world.dbs, at, db._replace(value=value, reverse=db.reverse + 1)),
                    truth=put(world.truth, at, value),
                    left=world.left._replace(writes=world.left.writes - 1),
                )
            ),
        )


def database_writes(world: World, rules: Rules, bounds: Bounds) -> Iterator[Step]:
    """Writes in PostgreSQL, and requests that stall after they saw a fence or a phase row."""
    for at in (0, 1):
        accepts = is_open(world.dbs[0 if rules.one_row else at].phase)
        if world.left.writes:
            if not rules.writes_check:
                if world.file.epoch >= 1 or accepts:
                    yield from _database_write(world, at, bounds)
            elif rules.phase_lock and not (rules.one_row and at):
                if accepts:
                    yield from _database_write(world, at, bounds)
            elif accepts:
                yield from _stall(
                    world, ("checked", at, 0), f"{DATABASES[at]}'s phase row is open (no lock kept)", bounds
                )
        yield from _seen(world, at, rules, bounds)


def _stall(world: World, request: tuple, text: str, bounds: Bounds) -> Iterator[Step]:
    if len(world.requests) < bounds.requests and request not in world.requests:
        yield PLAIN, "write.look", text, world._replace(requests=tuple(sorted((*world.requests, request))))


def _seen(world: World, at: int, rules: Rules, bounds: Bounds) -> Iterator[Step]:
    epoch = world.file.epoch
    if epoch & 1:
        yield from _stall(
            world, ("seen", at, epoch), f"{HALVES[at]} request meets the file's fence, epoch {epoch}", bounds
        )
        if rules.undo == "in_place" and world.dbs[at].phase == 2 * epoch + FENCED:
            yield from _stall(
                world, ("reopen", at, epoch), f"{HALVES[at]} request finds {DATABASES[at]} fenced", bounds
            )
    elif rules.epochs and world.dbs[at].phase < 2 * epoch:
        yield from _stall(
            world, ("seen", at, epoch), f"{HALVES[at]} request sees the file at epoch {epoch}", bounds
        )


def stalled_requests(world: World, rules: Rules, bounds: Bounds) -> Iterator[Step]:
    """Requests that go on after a stall of any length, and the undo of a rollback that takes too long."""
    for k, (what, at, epoch) in enumerate(world.requests):
        rest = world._replace(requests=world.requests[:k] + world.requests[k + 1 :])
        if what == "seen":
            yield (
                PLAIN,
                "follow",
                f"request completes {DATABASES[at]} to epoch {epoch}",
                follow(rest, at, epoch, rules),
            )
        elif what == "checked" and world.left.writes:
            yield from _database_write(rest, at, bounds)
        elif what == "checked":
            yield PLAIN, "write.look", "request ends", rest
        else:
            still = rest.dbs[at].phase == 2 * epoch + FENCED
            yield (
                PLAIN,
                "undo",
                f"request opens {DATABASES[at]} in place",
                (set_phase(rest, at, 2 * epoch, rules) if still else rest),
            )
    file = world.file
    fenced = 2 * file.epoch + FENCED in (world.dbs[0].phase, world.dbs[1].phase)
    if rules.undo == "epoch" and file.epoch & 1 and file.stage == READY and not file.locked and fenced:
        left = world.left._replace(changes=max(world.left.changes - 1, 0))
        yield PLAIN, "undo", f"file epoch {file.epoch} -> {file.epoch + 2}", world._replace(
            file=file._replace(epoch=file.epoch + 2), left=left)  # fmt: skip


def reads(world: World, rules: Rules, bounds: Bounds) -> Iterator[Step]:
    """A read of several steps: it must answer no less than what was acknowledged before it began."""
    if not bounds.reader:
        return
    reader = world.reader
    if not reader:
        yield from _read_starts(world, rules)
    elif reader[0] == "seen":
        _, at, epoch, floor = reader
        if world.dbs[at].phase // 2 > epoch and rules.epochs:
            yield PLAIN, "read.database", "the database has moved on: starts again", world._replace(reader=())
        else:
            yield _answer(follow(world, at, epoch, rules), at, world.dbs[at].value, floor)
    elif reader[0] == "open":
        yield _answer(world, reader[1], world.dbs[reader[1]].value, reader[2])
    elif reader[0] == "data":
        _, at, value, floor = reader
        if is_open(world.dbs[at].phase):
            yield _answer(world, at, value, floor)
        else:
            yield PLAIN, "read.database", "finds it closed: starts again", world._replace(reader=())
    else:
        yield PLAIN, "read.database", "answered", world._replace(reader=())


def _read_starts(world: World, rules: Rules) -> Iterator[Step]:
    for at in (0, 1):
        floor = abs(world.truth[at])
        db = world.dbs[at]
        if world.file.epoch & 1:
            yield PLAIN, "read.file", f"{HALVES[at]} read sees epoch {world.file.epoch}", world._replace(
                reader=("seen", at, world.file.epoch, floor))  # fmt: skip
        if rules.read_order == "data":
            yield PLAIN, "read.database", f"{HALVES[at]} read takes the row first", world._replace(
                reader=("data", at, db.value, floor))  # fmt: skip
        elif is_open(db.phase):
            yield PLAIN, "read.database", f"{HALVES[at]} read sees {DATABASES[at]} open", world._replace(
                reader=("open", at, floor))  # fmt: skip


def _answer(world: World, at: int, value: int, floor: int) -> Step:
    old = abs(value) < floor and not (world.truth[at] < 0 and value <= 0)
    return (
        PLAIN,
        "read.database",
        f"reads write {value} in {DATABASES[at]}",
        world._replace(reader=("answered", old)),
    )
