"""The state of the core model: one file, two databases, one key whose halves live in one database each.

A write is its own number (+n present, -n deleted, 0 never there), so lost, old and resurrected are comparisons of
numbers. Each step is atomic: one SQLite transaction, one PostgreSQL transaction, or one read whose result the process
keeps in its slot, where it may go stale. A write counts as acknowledged when it commits, the earliest moment possible.
"""

from typing import NamedTuple

from tests.model.rules import Rules

LEGACY, DUAL_WRITE, READY, FINISHED = range(4)  # READY: verified at an even epoch, cutover at an odd one
OPEN, FENCED = 0, 1
DATABASES = ("user_db", "auth_db")
HALVES = ("profile", "credential")
IDLE: tuple = ()


class File(NamedTuple):
    """The legacy file. `taken`: reverse entries of each database that the file holds."""

    epoch: int
    stage: int
    locked: bool
    rows: tuple[int, int]
    log: int
    taken: tuple[int, int]


class Database(NamedTuple):
    """One PostgreSQL database. `phase` is 2 * epoch + fenced, `reverse` counts reverse entries."""

    value: int
    version: int
    cursor: int
    phase: int
    reverse: int
    copied: bool


class Left(NamedTuple):
    """What may still happen."""

    writes: int
    changes: int
    crashes: int
    redeliveries: int
    failures: int
    restores: int


class World(NamedTuple):
    """Everything. `truth`: the newest acknowledged write of each half. The slots hold processes by their next step.
    `away`: the file, while an older copy of it is in its place."""

    file: File
    dbs: tuple[Database, Database]
    truth: tuple[int, int]
    left: Left
    appliers: tuple
    chunks: tuple
    requests: tuple
    reader: tuple
    coordinators: tuple
    reverse: tuple
    away: File | None = None


def first_file(stage: int) -> File:
    """The file as it is when the exploration begins."""
    return File(epoch=0, stage=stage, locked=False, rows=(1, 1), log=0, taken=(0, 0))


def put(pair: tuple, at: int, value: object) -> tuple:
    """The tuple with one element replaced."""
    return (*pair[:at], value, *pair[at + 1 :])


def slot(slots: tuple, at: int, value: tuple) -> tuple:
    """The slots with one process replaced; sorted, because processes of one kind are interchangeable."""
    return tuple(sorted((*slots[:at], value, *slots[at + 1 :])))


def distinct(slots: tuple) -> list[tuple[int, tuple]]:
    """Index and content of the slots, each content once."""
    return [(at, value) for at, value in enumerate(slots) if not at or slots[at - 1] != value]


def same(stored: int, true: int) -> bool:
    """Equal content: the same write, or absent on both sides."""
    return stored == true or (true < 0 and stored <= 0)


def is_open(phase: int) -> bool:
    """The database accepts writes: (odd epoch, open)."""
    return phase % 4 == 2


def file_fenced(file: File, rules: Rules) -> bool:
    """Writes to the file are refused."""
    return bool(file.epoch & 1) and not (file.stage == FINISHED and not rules.finish_keeps_fence)


def file_used(world: World, at: int, rules: Rules) -> bool:
    """The service of a database takes what is in the file's place for the file. Its own row may disown an older copy;
    without one the rule is not asked, so that it hides no other rule's weakness."""
    return not world.away or not rules.rows_disown or world.dbs[at].phase // 2 <= world.file.epoch


def next_epoch(epoch: int, rules: Rules) -> int:
    """The epoch after a change of the truth; without epochs there are only two phases."""
    return epoch + 1 if rules.epochs else 1 - epoch


def forward(db: Database, epoch: int, rules: Rules) -> Database:
    """The database after it has followed the file to an epoch; never back."""
    if db.phase >= 2 * epoch:
        return db
    cursor = 0 if rules.cursors_restart and not epoch & 1 else db.cursor
    return db._replace(cursor=cursor, phase=2 * epoch)


def set_phase(world: World, at: int, phase: int, rules: Rules) -> World:
    """The world with the phase row of one database set (of both when they share it)."""
    if rules.one_row:
        return world._replace(dbs=tuple(db._replace(phase=phase) for db in world.dbs))
    return world._replace(dbs=put(world.dbs, at, world.dbs[at]._replace(phase=phase)))


def follow(world: World, at: int, epoch: int, rules: Rules) -> World:
    """Complete the change to `epoch` in one database: anyone who has read that epoch in the file may do it."""
    if not rules.epochs:
        return set_phase(world, at, 2, rules)
    db = forward(world.dbs[at], epoch, rules)
    return set_phase(world._replace(dbs=put(world.dbs, at, db)), at, db.phase, rules)


def admitted(db: Database, epoch: int, checks: str, rules: Rules) -> Database | None:
    """The database after the check of a forward transaction read at `epoch`, or None when it must not apply."""
    if checks == "nothing":
        return forward(db, epoch, rules) if rules.epochs else db
    if db.phase <= 2 * epoch:
        return forward(db, epoch, rules)
    if checks == "phase" and db.phase % 4 == 0:
        return db
    return None
