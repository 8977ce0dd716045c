"""A unique column between keys: swaps, reuse of a freed email, victims of REPLACE, chunks that meet undrained rows.

Two keys, two emails (0: no row), one database. A batch or a chunk that breaks the unique constraint fails as a whole
and is tried again; what must hold is that the databases still meet, whoever is first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tests.model.core_state import distinct, put, slot
from tests.model.search import CRASH, PLAIN, Model, Step

KEYS = (0, 1)
EMAILS = (1, 2)


@dataclass(frozen=True)
class Rules:
    """The first value is the one that is built."""

    unique_checked: Literal["at_commit", "at_once"] = "at_commit"  # DEFERRABLE, deferred in appliers | not
    captures_victims: bool = True  # BEFORE triggers log the rows that a REPLACE would hit
    captures_old_key: bool = True  # a key that moves is logged under both keys
    batch: Literal["whole", "bounded"] = "whole"  # all entries of the snapshot | the first one only
    after_failure: Literal["reads_again", "same_batch"] = "reads_again"
    chunk_conflict: Literal["fails", "ignored"] = "fails"  # the chunk's transaction | ON CONFLICT DO NOTHING


class World(NamedTuple):
    """`rows`: email of each key in the file; `log`: keys, the sequence is the position + 1."""

    rows: tuple[int, int]
    log: tuple
    stored: tuple[int, int]
    versions: tuple[int, int]
    cursor: int
    copied: tuple[bool, bool]
    appliers: tuple
    chunks: tuple
    writes: int
    crashes: int


def forward(
    rules: Rules = Rules(),
    writes: int = 2,
    crashes: int = 0,
    appliers: int = 2,
    copied: bool = False,
) -> Model:
    """File to PostgreSQL: random writers, appliers, one chunk per key."""

    def steps(world: World) -> Iterator[Step]:
        if world.writes:
            for text, rows, keys in _changes(world.rows, rules):
                yield (
                    PLAIN,
                    "write.file",
                    text,
                    world._replace(rows=rows, log=world.log + keys, writes=world.writes - 1),
                )
        for k, batch in distinct(world.appliers):
            yield from _applier(world, k, batch, rules)
        for key in KEYS:
            yield from _chunk(world, key, rules)

    stored = (1, 2) if copied else (0, 0)
    initial = World(
        (1, 2), (), stored, (-1, -1), 0, (copied, copied), ((),) * appliers, ((), ()), writes, crashes
    )
    return Model(initial, steps, _broken, _quiet)


def _changes(rows: tuple[int, int], rules: Rules) -> Iterator[tuple[str, tuple[int, int], tuple]]:
    """What a writer can do in one transaction: text, rows after it, keys that capture logs."""
    for key in KEYS:
        other = 1 - key
        for email in EMAILS:
            if rows[other] == email:
                logged = (key, other) if rules.captures_victims else (key,)
                yield f"REPLACE key {key} with email {email}", put(put(rows, other, 0), key, email), logged
            elif rows[key] != email:
                yield f"key {key} gets email {email}", put(rows, key, email), (key,)
        if rows[key]:
            yield f"key {key} deleted", put(rows, key, 0), (key,)
            if not rows[other]:
                logged = (key, other) if rules.captures_old_key else (other,)
                yield f"key {key} becomes {other}", (rows[1], rows[0]), logged
    if all(rows):
        yield "emails swapped", (rows[1], rows[0]), KEYS


def _taken(stored: tuple[int, int]) -> bool:
    return bool(stored[0]) and stored[0] == stored[1]


def _upserts(stored: tuple, rows: tuple, checked: str) -> tuple | None:
    """Rows (key, email) written over the stored ones; None when the constraint refuses."""
    for key, email in sorted(rows, key=lambda row: row[1] > 0):
        stored = put(stored, key, email)
        if checked == "at_once" and _taken(stored):
            return None
    return None if _taken(stored) else stored


def _applier(world: World, k: int, batch: tuple, rules: Rules) -> Iterator[Step]:
    def to(action: str, text: str, rest: tuple, after: World = world, kind: int = PLAIN) -> Step:
        return kind, action, text, after._replace(appliers=slot(world.appliers, k, rest))

    if not batch:
        if len(world.log) > world.cursor:
            upto = len(world.log) if rules.batch == "whole" else world.cursor + 1
            keys = sorted(set(world.log[world.cursor : upto]))
            yield to("apply.read", f"log to {upto}", (upto, tuple((key, world.rows[key]) for key in keys)))
        return
    upto, rows = batch
    fresh = tuple(row for row in rows if upto >= world.versions[row[0]])
    stored = _upserts(world.stored, fresh, rules.unique_checked)
    if stored is None:
        yield to(
            "apply.database",
            f"log to {upto}: an email is taken",
            () if rules.after_failure == "reads_again" else batch,
        )
    else:
        versions = world.versions
        for key, _ in fresh:
            versions = put(versions, key, upto)
        yield to("apply.database", f"log to {upto}", (), world._replace(
            stored=stored, versions=versions, cursor=max(world.cursor, upto)))  # fmt: skip
    if world.crashes:
        yield to("crash", "applier", (), world._replace(crashes=world.crashes - 1), CRASH)


def _chunk(world: World, key: int, rules: Rules) -> Iterator[Step]:
    chunk = world.chunks[key]
    if not chunk:
        if not world.copied[key]:
            yield PLAIN, "chunk.read", f"key {key} begins at log {len(world.log)}", world._replace(
                chunks=put(world.chunks, key, (len(world.log),)))  # fmt: skip
        return
    if len(chunk) == 1:
        yield PLAIN, "chunk.read", f"key {key} at log {len(world.log)}", world._replace(
            chunks=put(world.chunks, key, (*chunk, world.rows[key])))  # fmt: skip
        return
    upto, email = chunk
    stored: tuple | None = world.stored
    if email and world.versions[key] <= upto:
        stored = _upserts(world.stored, ((key, email),), "at_commit")
        if stored is None and rules.chunk_conflict == "ignored":
            stored = world.stored
    if stored is None:  # tried again with the same rows: the copy does not change
        yield PLAIN, "chunk.database", f"key {key}: email {email} is taken", world
    else:
        yield PLAIN, "chunk.database", f"key {key}", world._replace(
            stored=stored, copied=put(world.copied, key, True), chunks=put(world.chunks, key, ()))  # fmt: skip


def _quiet(world: World) -> bool:
    return (
        all(world.copied)
        and world.cursor == len(world.log)
        and not any(world.appliers)
        and not any(world.chunks)
    )


def _broken(world: World) -> str | None:
    if _quiet(world) and world.stored != world.rows:
        return f"lost write: drained, PostgreSQL has {world.stored}, the file {world.rows}"
    return None


class Back(NamedTuple):
    """PostgreSQL to the file. `entries`: keys with a reverse entry, each once."""

    rows: tuple[int, int]
    entries: tuple
    file: tuple[int, int]
    applier: tuple
    writes: int


def backward(clears_first: bool = True, writes: int = 3) -> Model:
    """PostgreSQL to the file, whose unique index refuses at once: a batch must clear its keys before it writes them."""

    def steps(world: Back) -> Iterator[Step]:
        if world.writes:
            yield from _database_changes(world)
        if world.applier:
            yield _reverse_step(world, clears_first)
        elif world.entries:
            read = tuple((key, world.rows[key]) for key in world.entries)
            yield PLAIN, "reverse.read", f"{read}", world._replace(applier=("write", read))

    def quiet(world: Back) -> bool:
        return not world.applier and not world.entries

    def broken(world: Back) -> str | None:
        if quiet(world) and world.file != world.rows:
            return f"lost write: drained, the file has {world.file}, PostgreSQL {world.rows}"
        return None

    return Model(Back((1, 2), (), (1, 2), (), writes), steps, broken, quiet)


def _database_changes(world: Back) -> Iterator[Step]:
    for text, rows, keys in _changes(world.rows, Rules()):
        if not text.startswith("REPLACE"):
            entries = tuple(sorted({*world.entries, *keys}))
            yield (
                PLAIN,
                "write.database",
                text,
                world._replace(rows=rows, entries=entries, writes=world.writes - 1),
            )


def _reverse_step(world: Back, clears_first: bool) -> Step:
    step, rows = world.applier
    if step == "forget":
        # an entry that was written after the read has a new id: it stays
        kept = tuple(key for key in world.entries if (key, world.rows[key]) not in rows)
        return PLAIN, "reverse.forget", f"{rows}", world._replace(entries=kept, applier=())
    file: tuple = world.file
    for key, _ in rows if clears_first else ():
        file = put(file, key, 0)
    written = _upserts(file, rows, "at_once")
    if written is None:
        return PLAIN, "reverse.write", "the file refuses an email", world._replace(applier=())
    return PLAIN, "reverse.write", "the file", world._replace(file=written, applier=("forget", rows))
