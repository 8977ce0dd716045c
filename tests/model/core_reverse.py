"""Core model: the reverse applier in the background, and rollback."""

from collections.abc import Iterator

from tests.model.core_state import DATABASES, FENCED, IDLE, READY, World, follow, put, set_phase, slot
from tests.model.rules import Bounds, Rules
from tests.model.search import CRASH, PLAIN, Step


def reverse_applier(world: World, rules: Rules, bounds: Bounds) -> Iterator[Step]:
    """Rows of PostgreSQL into the file, read while the file's write lock is held."""
    file, locks = world.file, rules.reverse_reads == "locked"
    if not bounds.reverse:
        return
    if not world.reverse:
        if not file.epoch & 1 or file.stage != READY or (file.locked and locks):
            return
        for at in (0, 1):
            db = world.dbs[at]
            if db.reverse > file.taken[at]:
                yield PLAIN, "reverse.read", DATABASES[at], world._replace(
                    file=file._replace(locked=locks or file.locked), reverse=(at, db.reverse, db.value))  # fmt: skip
        return
    at, upto, value = world.reverse
    written = file._replace(rows=put(file.rows, at, value), taken=put(file.taken, at, upto))
    if locks:
        captured = file.log + (rules.applied_captured and file.stage < 3)
        yield PLAIN, "reverse.write", "the file", world._replace(
            file=written._replace(log=captured, locked=False), reverse=IDLE)  # fmt: skip
    elif not file.locked:
        newer = upto > file.taken[at] or (upto == file.taken[at] and rules.reverse_repeats)
        allowed = newer and (rules.reverse_reads == "checks_nothing" or file.epoch & 1)
        yield PLAIN, "reverse.write", "the file, with a row read earlier", world._replace(
            file=written if allowed else file, reverse=IDLE)  # fmt: skip
    if world.left.crashes:
        left = world.left._replace(crashes=world.left.crashes - 1)
        yield CRASH, "crash", "reverse applier", world._replace(
            file=file._replace(locked=False) if locks else file, left=left, reverse=IDLE)  # fmt: skip


def rollback(world: World, k: int, rules: Rules) -> Iterator[Step]:
    """The steps of one rollback coordinator; its slot is (step, epoch, ...)."""
    file = world.file
    step, epoch = world.coordinators[k][:2]

    def to(action: str, text: str, rest: tuple, after: World = world) -> Step:
        return PLAIN, action, text, after._replace(coordinators=slot(world.coordinators, k, rest))

    if step in ("fence_user", "fence_auth"):
        yield from _fence(world, step == "fence_auth", epoch, rules, to)
    elif step == "back_lock":
        yield from _lock(world, epoch, rules, to)
    elif step in ("back_user", "back_auth"):
        yield from _take(world, step == "back_auth", world.coordinators[k], rules, to)
    elif step == "back_commit":
        yield from _commit(world, world.coordinators[k], rules, to)
    elif not file.locked and step == "unfence":
        yield _unfence(world, epoch, rules, to)
    elif not file.locked:
        yield from _unlocked(world, step == "unlocked_auth", epoch, rules, to)


def _lock(world: World, epoch: int, rules: Rules, to) -> Iterator[Step]:
    file = world.file
    if rules.last_drain != "locked":
        rest = "unlocked_user" if rules.last_drain == "separate" else "unfence"
        yield to("rollback.lock", "goes on without the lock", (rest, epoch))
    elif file.locked:
        return
    elif file.epoch == epoch and file.stage == READY:
        locked = world._replace(file=file._replace(locked=True))
        yield to("rollback.lock", f"epoch {epoch} under the write lock", ("back_user", epoch), locked)
    else:
        yield to("rollback.lock", "another epoch in the file: gives up", IDLE)


def _unfence(world: World, epoch: int, rules: Rules, to) -> Step:
    left = world.left._replace(changes=max(world.left.changes - 1, 0))
    even = epoch + 1 if rules.epochs else 1 - epoch
    if rules.last_drain == "after_unfence":
        rest: tuple = ("unlocked_user", epoch)
    else:
        rest = ("follow_user", even) if rules.epochs else IDLE
    after = world._replace(file=world.file._replace(epoch=even, stage=1), left=left)
    return to("rollback.commit", "un-fences, nothing checked again", rest, after)


def _fence(world: World, at: int, epoch: int, rules: Rules, to) -> Iterator[Step]:
    rest = ("back_lock" if at else "fence_auth", epoch)
    if rules.fence == "dual_write":
        yield to("rollback.fence", f"{DATABASES[at]} straight back to dual_write", rest,
                 set_phase(world, at, 2 * (epoch + 1 if rules.epochs else 1 - epoch), rules))  # fmt: skip
    elif world.dbs[at].phase // 2 > epoch and rules.epochs:
        yield to("rollback.fence", f"a newer epoch in {DATABASES[at]}: gives up", IDLE)
    else:
        yield to("rollback.fence", DATABASES[at], rest, set_phase(world, at, 2 * epoch + FENCED, rules))


def _take(world: World, at: int, coordinator: tuple, rules: Rules, to) -> Iterator[Step]:
    file, db = world.file, world.dbs[at]
    released = world._replace(file=file._replace(locked=False))
    if db.phase != 2 * coordinator[1] + FENCED and rules.last_drain == "locked":
        yield to("rollback.drain", f"{DATABASES[at]} is not fenced: gives up", IDLE, released)
        return
    value = db.value if db.reverse > file.taken[at] else file.rows[at]
    rest = ("back_commit" if at else "back_auth", *coordinator[1:], (db.reverse, value))
    yield to("rollback.drain", f"the last changes of {DATABASES[at]}", rest)
    if world.left.failures and db.reverse > file.taken[at]:
        left = world.left._replace(failures=world.left.failures - 1)
        if rules.failed_drain == "skip":
            rest = (*rest[:-1], (db.reverse, file.rows[at]))
            yield to("rollback.drain", f"the file refuses a row of {DATABASES[at]}, it is left out", rest,
                     world._replace(left=left))  # fmt: skip
        else:
            yield to("rollback.drain", f"the file refuses a row of {DATABASES[at]}: nothing committed", IDLE,
                     released._replace(left=left))  # fmt: skip


def _commit(world: World, coordinator: tuple, rules: Rules, to) -> Iterator[Step]:
    _, epoch, (user_taken, profile), (auth_taken, credential) = coordinator
    file = world.file
    even = epoch + 1 if rules.epochs else 1 - epoch
    log = 0 if rules.log_restarts else file.log + rules.applied_captured
    left = world.left._replace(changes=max(world.left.changes - 1, 0))
    after = file._replace(epoch=even, stage=1, locked=False, rows=(profile, credential), log=log,
                          taken=(user_taken, auth_taken))  # fmt: skip
    yield to(
        "rollback.commit",
        f"rows, un-fenced, epoch {even}",
        ("follow_user", even),
        world._replace(file=after, left=left),
    )


def _unlocked(world: World, at: int, epoch: int, rules: Rules, to) -> Iterator[Step]:
    file, db = world.file, world.dbs[at]
    if db.reverse > file.taken[at]:
        file = file._replace(rows=put(file.rows, at, db.value), taken=put(file.taken, at, db.reverse))
    if not at:
        rest: tuple = ("unlocked_auth", epoch)
    elif rules.last_drain == "after_unfence":
        rest = ("follow_user", epoch + 1 if rules.epochs else 1 - epoch)
    else:
        rest = ("unfence", epoch)
    yield to("rollback.drain", f"{DATABASES[at]} into the file, in a transaction of its own", rest,
             world._replace(file=file))  # fmt: skip


def follow_steps(world: World, k: int, rules: Rules) -> Iterator[Step]:
    """A coordinator completes its change in both databases."""
    step, epoch = world.coordinators[k]
    at = int(step == "follow_auth")
    rest = IDLE if at else ("follow_auth", epoch)
    after = follow(world, at, epoch, rules)
    yield PLAIN, "follow", f"coordinator completes {DATABASES[at]} to epoch {epoch}", after._replace(
        coordinators=slot(world.coordinators, k, rest))  # fmt: skip
