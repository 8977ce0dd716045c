"""Verify and repair under live traffic: one key, a row that may be corrupted, passes and repairs in flight.

Cutover and rollback are single steps here (the core model takes them apart); a corruption is a row of PostgreSQL that
somebody changed behind the toolkit's back while the file is the truth. `corrupt` is what the model knows and verify
has to find out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tests.model.core_state import distinct, slot
from tests.model.search import CRASH, OPERATOR, PLAIN, Model, Step

DUAL_WRITE, COPIED, VERIFIED, CUTOVER = range(4)
GARBAGE = -99


@dataclass(frozen=True)
class Rules:
    """The first value is the one that is built."""

    looks_again: bool = True  # a row that changed meanwhile is compared again
    repair_compares: bool = True  # a repair writes like an applier: only over a version that is not newer
    repair_checks: bool = True  # ... and only at the epoch that it was read at
    repair_takes: Literal["one_step", "row_away_first"] = (
        "one_step"  # one transaction | remove, then write in another
    )
    stamp_checks: Literal["epoch", "phase"] = (
        "epoch"  # what the file's transaction that records a clean pass checks
    )
    repaired: Literal["new_pass", "clean"] = "new_pass"  # a pass that repaired a row | counts as clean


class World(NamedTuple):
    """`compared`: whether the pass that last recorded itself had seen the row whole, at this epoch."""

    epoch: int
    stage: int
    value: int
    log: int
    row: int
    version: int
    cursor: int
    corrupt: bool
    fault: str
    applier: tuple
    passes: tuple
    writes: int
    corruptions: int
    changes: int
    crashes: int


def model(
    rules: Rules = Rules(), writes: int = 2, corruptions: int = 1, changes: int = 2, crashes: int = 0
) -> Model:
    """Two passes at once, each may repair; a client, an applier, cutover and rollback."""

    def steps(world: World) -> Iterator[Step]:
        yield from _environment(world)
        yield from _applier(world)
        for k, one in distinct(world.passes):
            yield from _pass(world, k, one, rules)
            if one and world.crashes:
                yield (
                    CRASH,
                    "crash",
                    "verify",
                    world._replace(passes=slot(world.passes, k, ()), crashes=world.crashes - 1),
                )

    initial = World(0, COPIED, 1, 0, 1, -1, 0, False, "", (), ((), ()), writes, corruptions, changes, crashes)
    return Model(initial, steps, _broken, lambda world: _drained(world) and not any(world.passes))


def _environment(world: World) -> Iterator[Step]:
    odd = world.epoch & 1
    if world.writes and odd:
        yield (
            PLAIN,
            "write.database",
            f"write {world.row + 1}",
            world._replace(row=world.row + 1, writes=world.writes - 1),
        )
    elif world.writes:
        yield PLAIN, "write.file", f"write {world.value + 1}", world._replace(
            value=world.value + 1, log=world.log + 1, writes=world.writes - 1)  # fmt: skip
    if world.corruptions and not odd:
        yield PLAIN, "corruption", "the row is changed behind our back", world._replace(
            row=GARBAGE, corrupt=True, corruptions=world.corruptions - 1)  # fmt: skip
    if world.changes and world.stage == VERIFIED and not world.corrupt:
        yield OPERATOR, "cutover.commit", f"epoch {world.epoch + 1}", world._replace(
            epoch=world.epoch + 1, stage=CUTOVER, row=world.value if world.cursor < world.log else world.row,
            cursor=world.log, version=max(world.version, world.log) if world.cursor < world.log else world.version,
            changes=world.changes - 1)  # fmt: skip
    if world.changes and world.stage == CUTOVER:
        yield OPERATOR, "rollback.commit", f"epoch {world.epoch + 1}", world._replace(
            epoch=world.epoch + 1, stage=DUAL_WRITE, value=world.row, changes=world.changes - 1)  # fmt: skip
    if world.stage == DUAL_WRITE:
        yield OPERATOR, "copy.finish", "copied again", world._replace(stage=COPIED)


def _written(world: World, epoch: int, upto: int, value: int, compares: bool, checks: bool) -> World | None:
    """A forward transaction; None when its epoch has passed."""
    if checks and world.epoch != epoch:
        return None
    if compares and upto < world.version:
        return world
    return world._replace(row=value, version=upto, corrupt=False)


def _applier(world: World) -> Iterator[Step]:
    if not world.applier:
        if not world.epoch & 1 and world.cursor < world.log:
            yield (
                PLAIN,
                "apply.read",
                f"log to {world.log}",
                world._replace(applier=(world.epoch, world.log, world.value)),
            )
        return
    epoch, upto, value = world.applier
    after = _written(world, epoch, upto, value, True, True)
    if after is None:
        yield PLAIN, "apply.database", "another epoch", world._replace(applier=())
    else:
        yield (
            PLAIN,
            "apply.database",
            f"write {value}",
            after._replace(cursor=max(world.cursor, upto), applier=()),
        )


def _pass(world: World, k: int, one: tuple, rules: Rules) -> Iterator[Step]:
    def to(action: str, text: str, rest: tuple, after: World | None = None, kind: int = PLAIN) -> Step:
        after = after or world
        return kind, action, text, after._replace(passes=slot(world.passes, k, rest))

    if not one:
        if world.stage == COPIED:
            yield to("verify.pass", "begins", ("file", world.epoch), kind=OPERATOR)
    elif one[0] == "file" and world.epoch != one[1]:
        yield to("verify.pass", "another epoch: ends", ())
    elif one[0] == "file":
        seen = ("database", world.epoch, world.log, world.value)
        yield to("verify.compare", f"reads the file at {world.log}", seen)
    elif one[0] == "database":
        yield _compare(world, one, rules, to)
    elif one[0] == "clean":
        yield _stamp(world, one, rules, to)
    else:
        yield _repair(world, one, rules, to)


def _repair(world: World, one: tuple, rules: Rules, to) -> Step:
    step, epoch = one[:2]
    if step == "repair" and world.epoch & 1:
        return to("repair.read", "the file is not the truth any more", ())
    if step == "repair":
        return to("repair.read", f"write {world.value}", ("mend", world.epoch, world.log, world.value))
    _, _, upto, value = one
    if step == "mend" and rules.repair_takes == "row_away_first":
        gone = world._replace(row=0) if world.epoch == epoch and upto >= world.version else world
        return to("repair.database", "the row is taken away", ("put", *one[1:]), gone)
    after = _written(world, epoch, upto, value, rules.repair_compares, rules.repair_checks)
    rest = ("clean", epoch, True) if rules.repaired == "clean" and after is not None else ()
    return to("repair.database", "another epoch: dropped" if after is None else f"write {value}", rest, after)


def _compare(world: World, one: tuple, rules: Rules, to) -> Step:
    _, epoch, upto, value = one
    if world.epoch != epoch:
        return to("verify.compare", "another epoch: ends", ())
    if world.row == value:
        return to("verify.compare", "equal", ("clean", epoch, world.corrupt))
    changed = world.cursor < upto or world.version > upto
    if changed and rules.looks_again:
        return to("verify.compare", "changed meanwhile: again", ("file", epoch))
    fault = "" if world.corrupt else "false alarm: a row that only changed meanwhile is called different"
    return to("verify.compare", "different", ("repair", epoch), world._replace(fault=fault))


def _stamp(world: World, one: tuple, rules: Rules, to) -> Step:
    _, epoch, corrupt = one
    if world.stage != COPIED or (rules.stamp_checks == "epoch" and world.epoch != epoch):
        return to("verify.stamp", "another epoch or phase: nothing recorded", ())
    fault = (
        "unseen: verified, but this pass has not found the row whole"
        if corrupt or world.epoch != epoch
        else ""
    )
    return to("verify.stamp", "verified", (), world._replace(stage=VERIFIED, fault=fault))


def _drained(world: World) -> bool:
    return not world.applier and (bool(world.epoch & 1) or world.cursor == world.log)


def _broken(world: World) -> str | None:
    if world.fault:
        return world.fault
    if world.epoch & 1:
        if world.row < world.value and not world.corrupt:
            return (
                f"lost write: PostgreSQL is the truth and has write {world.row}, the file had {world.value}"
            )
    elif _drained(world) and not any(world.passes) and not world.corrupt and world.row != world.value:
        return f"lost write: drained, PostgreSQL has write {world.row}, the file {world.value}"
    return None
