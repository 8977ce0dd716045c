"""Core model: forward appliers, chunks of the copy, the end of copy and verify."""

from collections.abc import Iterator

from tests.model.core_state import (
    DATABASES,
    DUAL_WRITE,
    FINISHED,
    IDLE,
    LEGACY,
    READY,
    Database,
    World,
    admitted,
    distinct,
    put,
    slot,
)  # fmt: skip
from tests.model.rules import Bounds, Rules
from tests.model.search import CRASH, OPERATOR, PLAIN, Step

OLD_PLAN, PLAN = 0, 1


def applied(db: Database, epoch: int, upto: int, value: int, rules: Rules) -> Database | None:
    """The database after a batch of the file's log up to `upto`, or None when its epoch has passed."""
    checked = admitted(db, epoch, rules.applier_checks, rules)
    if checked is None:
        return None
    if upto >= checked.version:
        again = checked.reverse + rules.applied_captured
        checked = checked._replace(value=value, version=upto, reverse=again)
    return checked._replace(cursor=max(checked.cursor, upto))


def _chunk_applied(db: Database, chunk: tuple, rules: Rules) -> Database | None:
    _, epoch, upto, rows, plan, at = chunk
    checked = admitted(db, epoch, rules.chunk_checks, rules)
    if checked is None:
        return None
    if plan == PLAN and checked.copied:
        return checked
    value = rows[at]
    wanted = upto >= checked.version if rules.chunk_writes == "unless_newer" else checked.value <= 0
    if value > 0 and wanted:
        checked = checked._replace(value=value)
    return checked._replace(copied=checked.copied or plan == PLAN)


def _crash(world: World, **slots: tuple) -> World:
    return world._replace(left=world.left._replace(crashes=world.left.crashes - 1), **slots)


def appliers(world: World, rules: Rules, bounds: Bounds) -> Iterator[Step]:
    """One snapshot of the file, then one transaction per database."""
    file = world.file
    for k, batch in distinct(world.appliers):
        if not batch:
            runs = LEGACY < file.stage < FINISHED and (not file.epoch & 1 or rules.both_directions)
            if runs and min(world.dbs[0].cursor, world.dbs[1].cursor) < file.log:
                yield PLAIN, "apply.read", f"log {file.log}, epoch {file.epoch}", world._replace(
                    appliers=slot(world.appliers, k, (0, file.epoch, file.log, file.rows)))  # fmt: skip
            continue
        at, epoch, upto, rows = batch
        db = applied(world.dbs[at], epoch, upto, rows[at], rules)
        if db is None:
            yield PLAIN, "apply.database", f"another epoch in {DATABASES[at]}: batch dropped", world._replace(
                appliers=slot(world.appliers, k, IDLE))  # fmt: skip
        else:
            rest = (1, epoch, upto, rows) if at == 0 else IDLE
            yield PLAIN, "apply.database", f"{DATABASES[at]} to log {upto}, read at epoch {epoch}", world._replace(
                dbs=put(world.dbs, at, db), appliers=slot(world.appliers, k, rest))  # fmt: skip
        if world.left.crashes:
            yield CRASH, "crash", "applier", _crash(world, appliers=slot(world.appliers, k, IDLE))


def chunks(world: World, rules: Rules, bounds: Bounds) -> Iterator[Step]:
    """One snapshot of the file, then rows and done mark in one transaction per database; no version rows."""
    file = world.file
    done = world.dbs[0].copied and world.dbs[1].copied
    for k, chunk in distinct(world.chunks):
        if not chunk:
            if file.stage == DUAL_WRITE and not file.epoch & 1 and (not done or world.left.redeliveries):
                left = world.left._replace(redeliveries=world.left.redeliveries - done)
                taken = (0, file.epoch, file.log, file.rows, PLAN, 0)
                yield PLAIN, "chunk.read", f"log {file.log}, epoch {file.epoch}", world._replace(
                    left=left, chunks=slot(world.chunks, k, taken))  # fmt: skip
            continue
        at = chunk[0]
        db = _chunk_applied(world.dbs[at], (*chunk[:5], at), rules)
        if db is None:
            yield PLAIN, "chunk.database", f"another epoch in {DATABASES[at]}: stops", world._replace(
                chunks=slot(world.chunks, k, IDLE))  # fmt: skip
        else:
            rest = (1, *chunk[1:]) if at == 0 else IDLE
            yield PLAIN, "chunk.database", f"{DATABASES[at]}, read at log {chunk[2]}, epoch {chunk[1]}", world._replace(
                dbs=put(world.dbs, at, db), chunks=slot(world.chunks, k, rest))  # fmt: skip
        if world.left.crashes:
            yield CRASH, "crash", "chunk", _crash(world, chunks=slot(world.chunks, k, IDLE))
    if file.stage == DUAL_WRITE and not file.epoch & 1 and not file.locked and done:
        yield OPERATOR, "verify.stamp", "copied and verified", world._replace(file=file._replace(stage=READY))
