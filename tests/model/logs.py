"""Two keys and the logs between the stores: the file's log with its pruning, and PostgreSQL's reverse log."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tests.model.core_state import distinct, put, same, slot
from tests.model.search import CRASH, PLAIN, Model, Step

DATABASES = ("user_db", "auth_db")


@dataclass(frozen=True)
class Rules:
    """The first value is the one that is built."""

    compares: bool = True  # a row is written only over a version that is not newer
    pruned_by: Literal["both", "one"] = "both"  # the lower cursor of both databases | the cursor of one
    ids_never_again: bool = True  # AUTOINCREMENT: a pruned log does not start at 1 again
    version: Literal["snapshot", "entry"] = "snapshot"  # the batch's last sequence | the key's own last entry


class Database(NamedTuple):
    values: tuple[int, int]
    versions: tuple[int, int]
    cursor: int
    copied: bool


class World(NamedTuple):
    """`log` holds (sequence, key); `last` is the highest sequence ever given."""

    values: tuple[int, int]
    log: tuple
    last: int
    dbs: tuple[Database, Database]
    writes: int
    crashes: int
    appliers: tuple
    chunk: tuple


def forward_log(rules: Rules = Rules(), writes: int = 3, crashes: int = 1, appliers: int = 2) -> Model:
    """The file's log: appliers with a cursor per database, a pruner, one chunk over both keys."""

    def steps(world: World) -> Iterator[Step]:
        yield from _writes(world, rules)
        yield from _prune(world, rules)
        for k, applier in distinct(world.appliers):
            yield from _applier(world, k, applier, rules)
        yield from _chunk(world, rules)

    db = Database((0, 0), (-1, -1), 0, False)
    return Model(
        World((1, 1), (), 0, (db, db), writes, crashes, ((),) * appliers, ()), steps, _broken, _drained
    )


def _writes(world: World, rules: Rules) -> Iterator[Step]:
    if not world.writes:
        return
    newest = world.log[-1][0] if world.log else 0
    sequence = (world.last if rules.ids_never_again else newest) + 1
    for key in (0, 1):
        value = world.values[key]
        for after in (abs(value) + 1, -abs(value) - 1)[: 2 if value > 0 else 1]:
            yield (
                PLAIN,
                "write.file",
                f"key {key} {'set' if after > 0 else 'gone'}, entry {sequence}",
                world._replace(
                    values=put(world.values, key, after),
                    log=(*world.log, (sequence, key)),
                    last=max(world.last, sequence),
                    writes=world.writes - 1,
                ),
            )


def _prune(world: World, rules: Rules) -> Iterator[Step]:
    cursors = [db.cursor for db in world.dbs]
    upto = min(cursors) if rules.pruned_by == "both" else cursors[0]
    if world.log and world.log[0][0] <= upto:
        yield (
            PLAIN,
            "prune",
            f"log up to {upto}",
            world._replace(log=tuple(entry for entry in world.log if entry[0] > upto)),
        )


def _written(db: Database, rows: tuple, rules: Rules) -> Database:
    for key, value, version in rows:
        if not rules.compares or version >= db.versions[key]:
            db = db._replace(values=put(db.values, key, value), versions=put(db.versions, key, version))
    return db


def _applier(world: World, k: int, applier: tuple, rules: Rules) -> Iterator[Step]:
    def to(action: str, text: str, rest: tuple, after: World = world, kind: int = PLAIN) -> Step:
        return kind, action, text, after._replace(appliers=slot(world.appliers, k, rest))

    if not applier:
        cursor = min(db.cursor for db in world.dbs)
        if world.log and world.log[-1][0] > cursor:
            yield to("apply.read", f"cursor {cursor}", ("cursor", cursor))
        return
    if applier[0] == "cursor":
        entries = [entry for entry in world.log if entry[0] > applier[1]]
        if not entries:
            yield to("apply.read", "nothing left", ())
        else:
            upto = entries[-1][0]
            own = {key: sequence for sequence, key in entries}
            rows = tuple(
                (key, world.values[key], upto if rules.version == "snapshot" else own[key])
                for key in sorted(own)
            )
            yield to("apply.read", f"log to {upto}", ("user", upto, rows))
    else:
        step, upto, rows = applier
        at = int(step == "auth")
        db = _written(world.dbs[at], rows, rules)
        after = world._replace(dbs=put(world.dbs, at, db._replace(cursor=max(db.cursor, upto))))
        yield to("apply.database", f"{DATABASES[at]} to {upto}", () if at else ("auth", upto, rows), after)
    if world.crashes:
        yield to("crash", "applier", (), world._replace(crashes=world.crashes - 1), CRASH)


def _chunk(world: World, rules: Rules) -> Iterator[Step]:
    if not world.chunk:
        if not (world.dbs[0].copied and world.dbs[1].copied):
            newest = world.log[-1][0] if world.log else 0
            upto = world.last if rules.ids_never_again else newest
            yield PLAIN, "chunk.read", f"both keys at {upto}", world._replace(chunk=(0, upto, world.values))
        return
    at, upto, values = world.chunk
    db = world.dbs[at]
    if not db.copied:
        for key, value in enumerate(values):
            if value > 0 and (not rules.compares or upto >= db.versions[key]):
                db = db._replace(values=put(db.values, key, value))
    yield (
        PLAIN,
        "chunk.database",
        DATABASES[at],
        world._replace(
            dbs=put(world.dbs, at, db._replace(copied=True)), chunk=() if at else (1, upto, values)
        ),
    )
    if world.crashes:
        yield CRASH, "crash", "chunk", world._replace(chunk=(), crashes=world.crashes - 1)


def _drained(world: World) -> bool:
    behind = world.log and min(db.cursor for db in world.dbs) < world.log[-1][0]
    return not (world.chunk or any(world.appliers) or behind or not all(db.copied for db in world.dbs))


def _broken(world: World) -> str | None:
    if _drained(world):
        for at, db in enumerate(world.dbs):
            if not all(map(same, db.values, world.values)):
                return f"lost write: drained, but {DATABASES[at]} has {db.values}, the file {world.values}"
    return None


class Reverse(NamedTuple):
    """`entries`: visible ones, (id, key); `open`: transactions that hold an id and have not committed."""

    rows: tuple[int, int]
    entries: tuple
    next_id: int
    open: tuple
    file: tuple[int, int]
    cursor: int
    applier: tuple
    writes: int
    crashes: int


def reverse_log(consumes: bool = True, writes: int = 3, crashes: int = 1) -> Model:
    """PostgreSQL's reverse log: an entry takes its id at INSERT and is seen at COMMIT. The applier takes every entry
    there is and deletes it after the file's commit; a cursor over the ids is the weakening."""

    def todo(world: Reverse) -> tuple:
        return tuple(entry for entry in world.entries if consumes or entry[0] > world.cursor)

    def steps(world: Reverse) -> Iterator[Step]:
        yield from _transactions(world)
        if not world.applier:
            if todo(world):
                yield (
                    PLAIN,
                    "reverse.read",
                    f"{todo(world)}",
                    world._replace(applier=("write", todo(world), world.rows)),
                )
            return
        step, entries, *rows = world.applier
        if step == "write":
            keys = {key for _, key in entries}
            file = tuple(rows[0][key] if key in keys else world.file[key] for key in (0, 1))
            yield (
                PLAIN,
                "reverse.write",
                "the file",
                world._replace(
                    file=file,
                    cursor=max(world.cursor, entries[-1][0]),
                    applier=("forget", entries) if consumes else (),
                ),
            )
        else:
            kept = tuple(entry for entry in world.entries if entry not in entries)
            yield PLAIN, "reverse.forget", f"{entries}", world._replace(entries=kept, applier=())
        if world.crashes:
            yield CRASH, "crash", "reverse applier", world._replace(applier=(), crashes=world.crashes - 1)

    def broken(world: Reverse) -> str | None:
        if not (world.open or world.applier or todo(world)) and world.file != world.rows:
            return f"lost write: the reverse log is drained, file {world.file}, PostgreSQL {world.rows}"
        return None

    initial = Reverse((1, 1), (), 1, (), (1, 1), 0, (), writes, crashes)
    return Model(initial, steps, broken, lambda world: not (world.open or world.applier or todo(world)))


def _transactions(world: Reverse) -> Iterator[Step]:
    if world.writes and len(world.open) < 2:
        for key in (0, 1):
            if all(held != key for _, held in world.open):
                yield (
                    PLAIN,
                    "write.database",
                    f"key {key} takes entry {world.next_id}",
                    world._replace(
                        next_id=world.next_id + 1,
                        open=(*world.open, (world.next_id, key)),
                        writes=world.writes - 1,
                    ),
                )
    for entry in world.open:
        yield (
            PLAIN,
            "write.database",
            f"entry {entry[0]} commits",
            world._replace(
                rows=put(world.rows, entry[1], world.rows[entry[1]] + 1),
                entries=tuple(sorted((*world.entries, entry))),
                open=tuple(other for other in world.open if other != entry),
            ),
        )
