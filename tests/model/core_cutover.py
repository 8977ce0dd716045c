"""Core model: cutover, finish, and the start of every coordinator."""

from collections.abc import Iterator

from tests.model.core_forward import applied
from tests.model.core_reverse import follow_steps, rollback
from tests.model.core_state import (
    DATABASES,
    FINISHED,
    IDLE,
    READY,
    World,
    admitted,
    distinct,
    follow,
    next_epoch,
    put,
    slot,
)  # fmt: skip
from tests.model.rules import Bounds, Rules
from tests.model.search import CRASH, OPERATOR, PLAIN, Step

HOLDING = frozenset(("drain_user", "drain_auth", "commit", "flip_user", "flip_auth", "flip_commit"))
HOLDING_BACK = frozenset(("back_user", "back_auth", "back_commit"))
ROLLBACK = (
    frozenset(("fence_user", "fence_auth", "back_lock", "unlocked_user", "unlocked_auth", "unfence"))
    | HOLDING_BACK
)


def coordinators(world: World, rules: Rules, bounds: Bounds) -> Iterator[Step]:
    """Every coordinator by one step, or its death."""
    for k, coordinator in distinct(world.coordinators):
        if not coordinator:
            yield from _start(world, k, rules, bounds)
            continue
        step = coordinator[0]
        if step in ROLLBACK:
            yield from rollback(world, k, rules)
        elif step in ("follow_user", "follow_auth"):
            yield from follow_steps(world, k, rules)
        else:
            yield from _cutover(world, k, rules)
        if world.left.crashes:
            held = step in HOLDING_BACK or (step in HOLDING and rules.cutover_locks)
            yield (
                CRASH,
                "crash",
                f"coordinator before {step}",
                world._replace(
                    file=world.file._replace(locked=False) if held else world.file,
                    left=world.left._replace(crashes=world.left.crashes - 1),
                    coordinators=slot(world.coordinators, k, IDLE),
                ),
            )


def _start(world: World, k: int, rules: Rules, bounds: Bounds) -> Iterator[Step]:
    file = world.file
    if not world.left.changes or file.stage != READY:
        return

    def go(action: str, text: str, rest: tuple, after: World = world) -> Step:
        return OPERATOR, action, text, after._replace(coordinators=slot(world.coordinators, k, rest))

    locked = world._replace(file=file._replace(locked=True))
    if not file.epoch & 1:
        if not rules.reads_again:
            yield go("cutover.lock", "phase verified, no lock yet", ("late_lock", file.epoch))
        elif not rules.cutover_locks:
            yield go(
                "cutover.lock", "goes on without the lock", ("drain_user", file.epoch, file.log, file.rows)
            )
        elif not file.locked:
            yield go("cutover.lock", f"epoch {file.epoch}, verified", ("drain_user", file.epoch), locked)
        return
    yield go("rollback.start", f"epoch {file.epoch}", ("fence_user", file.epoch))
    if bounds.finish and not file.locked:
        epoch = file.epoch + 2 if rules.finish_moves_epoch and rules.epochs else file.epoch
        yield go("finish.commit", f"epoch {epoch}", ("follow_user", epoch), world._replace(
            file=file._replace(epoch=epoch, stage=FINISHED),
            left=world.left._replace(changes=world.left.changes - 1)))  # fmt: skip


def _cutover(world: World, k: int, rules: Rules) -> Iterator[Step]:
    file = world.file
    coordinator = world.coordinators[k]
    step, epoch = coordinator[:2]

    def to(action: str, text: str, rest: tuple, after: World = world) -> Step:
        return PLAIN, action, text, after._replace(coordinators=slot(world.coordinators, k, rest))

    if step == "late_lock":
        if not file.locked:
            yield to("cutover.lock", "locked, phase not read again", ("drain_user", epoch),
                     world._replace(file=file._replace(locked=True)))  # fmt: skip
    elif step in ("drain_user", "drain_auth"):
        yield from _drain(world, step == "drain_auth", coordinator, rules, to)
    elif step in ("flip_user", "flip_auth"):
        at = int(step == "flip_auth")
        rest = ("flip_commit" if at else "flip_auth", epoch)
        yield to(
            "follow",
            f"{DATABASES[at]} before the file",
            rest,
            follow(world, at, next_epoch(epoch, rules), rules),
        )
    elif not rules.cutover_locks and (file.locked or file.epoch != epoch):
        if not file.locked:
            yield to("cutover.commit", "another epoch: gives up", IDLE)
    else:
        odd = next_epoch(epoch, rules)
        left = world.left._replace(changes=max(world.left.changes - 1, 0))
        rest = ("follow_user", odd) if step == "commit" else IDLE
        yield to("cutover.commit", f"fence, epoch {odd}", rest, world._replace(
            file=file._replace(epoch=odd, stage=READY, locked=False), left=left))  # fmt: skip


def _drain(world: World, at: int, coordinator: tuple, rules: Rules, to) -> Iterator[Step]:
    epoch, file = coordinator[1], world.file
    upto, rows = coordinator[2:] if len(coordinator) > 2 else (file.log, file.rows)
    db = world.dbs[at]
    behind = db.cursor < upto
    after = (
        applied(db, epoch, upto, rows[at], rules)
        if behind
        else admitted(db, epoch, rules.applier_checks, rules)
    )
    released = world._replace(file=file._replace(locked=False)) if rules.cutover_locks else world
    if after is None:
        yield to("cutover.drain", f"another epoch in {DATABASES[at]}: rolls back", IDLE, released)
        return
    following = ("commit" if rules.cutover_order == "fence" else "flip_user") if at else "drain_auth"
    yield to("cutover.drain", f"{DATABASES[at]} to log {upto}", (following, *coordinator[1:]),
             world._replace(dbs=put(world.dbs, at, after)))  # fmt: skip
    if world.left.failures and behind:
        left = world.left._replace(failures=world.left.failures - 1)
        if rules.failed_drain == "skip":
            without = after._replace(value=db.value)
            yield to("cutover.drain", f"{DATABASES[at]} refuses the row, it is left out", (following, *coordinator[1:]),
                     world._replace(dbs=put(world.dbs, at, without), left=left))  # fmt: skip
        else:
            yield to("cutover.drain", f"{DATABASES[at]} refuses the row: nothing committed in the file", IDLE,
                     released._replace(left=left))  # fmt: skip
