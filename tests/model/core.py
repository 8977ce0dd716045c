"""Core model: the steps of all processes together, and the promises that every state must keep."""

from collections.abc import Iterator

from tests.model.core_cutover import coordinators
from tests.model.core_forward import OLD_PLAN, appliers, chunks
from tests.model.core_restore import older_copies
from tests.model.core_reverse import reverse_applier
from tests.model.core_services import database_writes, file_writes, reads, stalled_requests
from tests.model.core_state import (
    DATABASES,
    DUAL_WRITE,
    FENCED,
    FINISHED,
    HALVES,
    IDLE,
    LEGACY,
    READY,
    Database,
    Left,
    World,
    file_fenced,
    file_used,
    first_file,
    is_open,
    same,
)  # fmt: skip
from tests.model.rules import Bounds, Rules
from tests.model.search import Model, Step

PROCESSES = (
    file_writes,
    database_writes,
    stalled_requests,
    reads,
    appliers,
    chunks,
    reverse_applier,
    coordinators,
    older_copies,
)


def model(rules: Rules = Rules(), bounds: Bounds = Bounds()) -> Model:  # noqa: B008 (both are frozen)
    """The core model for one set of rules and one size."""

    def steps(world: World) -> Iterator[Step]:
        for process in PROCESSES:
            yield from process(world, rules, bounds)

    return Model(
        _initial(bounds),
        steps,
        lambda world: _broken(world, rules),
        lambda world: _quiet(world, rules, bounds),
    )


def _initial(bounds: Bounds) -> World:
    if bounds.legacy:
        db = Database(value=0, version=-1, cursor=0, phase=0, reverse=0, copied=False)
        stage = LEGACY
    else:
        db = Database(value=1, version=0, cursor=0, phase=0, reverse=0, copied=True)
        stage = READY
    waiting: list[tuple] = [IDLE] * bounds.chunks
    if bounds.stale_chunk:
        waiting[0] = (0, 0, 0, (1, 1), OLD_PLAN, 0)
    return World(
        file=first_file(stage),
        dbs=(db, db),
        truth=(1, 1),
        left=Left(
            bounds.writes,
            bounds.changes,
            bounds.crashes,
            bounds.redeliveries,
            bounds.failures,
            bounds.restores,
        ),
        appliers=(IDLE,) * bounds.appliers,
        chunks=tuple(sorted(waiting)),
        requests=(),
        reader=(),
        coordinators=(IDLE,) * bounds.coordinators,
        reverse=IDLE,
    )


def _broken(world: World, rules: Rules) -> str | None:
    file = world.file
    for at in (0, 1):
        broken = _broken_half(world, at, rules, file_fenced(file, rules))
        if broken:
            return broken
    if world.reader and world.reader[0] == "answered" and world.reader[1]:
        return "old read: a read answers less than was acknowledged before it began"
    if _busy(world) or file.stage in (LEGACY, FINISHED) or {db.phase for db in world.dbs} != {2 * file.epoch}:
        return None
    if file.epoch & 1:
        drained = tuple(db.reverse for db in world.dbs) == file.taken
        if drained and not all(map(same, file.rows, world.truth)):
            return "lost write: drained, but the file differs from PostgreSQL"
        return None
    drained = all(db.cursor == file.log and db.copied for db in world.dbs)
    if drained and not all(same(db.value, true) for db, true in zip(world.dbs, world.truth, strict=True)):
        return "lost write: drained, but PostgreSQL differs from the file"
    return None


def _broken_half(world: World, at: int, rules: Rules, fenced: bool) -> str | None:
    file, db, true = world.file, world.dbs[at], world.truth[at]
    used = file_used(world, at, rules)
    stored, odd, accepts = file.rows[at], bool(file.epoch & 1), is_open(world.dbs[at].phase)
    lost = "resurrected" if true < 0 else "lost write"
    if accepts and used and not fenced and not file.locked:
        return f"split brain: the file and {DATABASES[at]} both accept writes"
    if used and not odd and not same(stored, true):
        if file.locked:
            return f"old read: the file, still the truth for readers, has write {stored} of {true}"
        return f"{lost}: the file is the truth, {HALVES[at]} is write {stored} of {true}"
    if accepts and not same(db.value, true):
        return f"{lost}: {DATABASES[at]} is the truth, {HALVES[at]} is write {db.value} of {true}"
    if rules.fenced_read == "trusts_row" and db.phase % 4 == 2 + FENCED and not same(db.value, true):
        return f"old read: fenced {DATABASES[at]} answers write {db.value} of {true}"
    if rules.fenced_read == "trusts_file" and odd and db.phase % 4 == 2 + FENCED and not same(stored, true):
        return f"old read: the fenced file answers write {stored} of {true}"
    if not rules.reads_check and odd and not same(stored, true):
        return f"old read: a process with a stale phase reads write {stored} of {true} in the file"
    return None


def _busy(world: World) -> bool:
    slots = (*world.appliers, *world.chunks, *world.coordinators)
    return bool(world.file.locked or world.requests or world.reader or world.reverse or any(slots))


def _quiet(world: World, rules: Rules, bounds: Bounds) -> bool:
    file = world.file
    if _busy(world):
        return False
    if world.away:  # what is fenced or closed waits for the file to be put back
        return True
    if file.stage == LEGACY:
        return True
    level = all(db.phase == 2 * file.epoch for db in world.dbs)
    if rules.epochs and not level:
        return False
    if file.epoch & 1:
        drained = file.stage == FINISHED or tuple(db.reverse for db in world.dbs) == file.taken
        return level and (drained or not bounds.reverse)
    drained = all(db.cursor == file.log for db in world.dbs)
    return file.stage >= DUAL_WRITE and (drained or not bounds.appliers)
