"""What may happen to a process of each kind, drawn from the seed before the process starts."""

import random
from collections import Counter
from collections.abc import Callable

from tests.faults.harness.control import ACT, HOLD, KILL, TERM, Fate, Tally

EVENT_POINTS = (
    "sequencer.locked",
    "sequencer.before_commit",
    "sequencer.committed",
    "relay.published",
    "consumer.counted",
    "consumer.before_commit",
    "consumer.committed",
)
POINTS = {
    "dual-write": ("dual_write.before_commit", "dual_write.committed"),
    "applier": (
        "apply.read",
        "apply.before_user_commit",
        "apply.user_committed",
        "apply.before_auth_commit",
        "apply.auth_committed",
    ),
    "reverse_applier": (
        "reverse.read",
        "reverse.before_file_commit",
        "reverse.file_committed",
        "reverse.entries_deleted",
    ),
    "copy": ("copy.planned", "copy.finished"),
    "chunk_worker": (
        "chunk.read",
        "chunk.before_user_commit",
        "chunk.user_committed",
        "chunk.before_auth_commit",
        "chunk.auth_committed",
        "verify.chunk_compared",
    ),
    "verify": (
        "verify.started",
        "verify.before_stamp",
        "repair.read",
        "repair.user_committed",
        "repair.auth_committed",
    ),
    "cutover": (
        "cutover.locked",
        "cutover.user_drained",
        "cutover.auth_drained",
        "cutover.before_commit",
        "cutover.committed",
        "cutover.user_followed",
        "cutover.auth_followed",
        "apply.user_committed",
        "truth.follow",
    ),
    "rollback": (
        "rollback.started",
        "rollback.user_fenced",
        "rollback.auth_fenced",
        "rollback.settled",
        "rollback.locked",
        "rollback.before_commit",
        "rollback.committed",
        "rollback.user_followed",
        "rollback.auth_followed",
    ),
    "finish": ("finish.before_commit", "finish.committed", "finish.followed"),
    "client": (
        "truth.write.before_file_commit",
        "truth.write.file_committed",
        "truth.write.file_fenced",
        "truth.write.before_database_commit",
        "truth.write.database_committed",
        "truth.read.file_fenced",
        "truth.read.phase_read",
        "truth.follow",
        "truth.undo.before_commit",
        "truth.undo.committed",
        "apply.head_start",
        "apply.read",
        "apply.before_user_commit",
        "apply.before_auth_commit",
        "registration.hashed",
        "registration.pending",
        "registration.credential_put",
        "registration.activated",
    ),
    "events_of_user": EVENT_POINTS,
    "events_of_auth": EVENT_POINTS,
    "sweeper": ("settle.asked", "settle.done"),
}
"""Which points a process of a kind passes."""

STALLS = {
    "apply.read": ("cutover", "rollback", "cutover again", "finish"),
    "apply.user_committed": ("cutover", "rollback", "cutover again", "finish"),
    "chunk.read": ("copied", "cutover", "rollback", "cutover again"),
    "chunk.user_committed": ("copied", "cutover", "rollback", "cutover again"),
    "repair.read": ("cutover", "rollback", "cutover again"),
    "repair.user_committed": ("cutover", "rollback", "cutover again"),
    "verify.chunk_compared": ("cutover", "rollback", "cutover again"),
    "verify.before_stamp": ("rollback", "cutover again"),
    "reverse.file_committed": ("rollback", "cutover again", "finish"),
    "cutover.committed": ("rollback", "cutover again"),
    "cutover.user_followed": ("rollback", "cutover again"),
    "rollback.user_fenced": ("cutover again", "finish"),
    "rollback.settled": ("cutover again", "finish"),
    "rollback.committed": ("cutover again", "finish"),
    "rollback.user_followed": ("cutover again", "finish"),
    "truth.write.file_fenced": ("rollback", "cutover again", "finish"),
    "truth.read.file_fenced": ("rollback", "cutover again", "finish"),
    "truth.follow": ("rollback", "cutover again", "finish"),
}
"""Points where a process holds no lock: it may stall there until the story has come to a milestone."""

TRIES_WITH_FATES = 3  # a command that was killed so often is left alone
UNDO_SECONDS = 4.0
RARE = frozenset(("truth.undo.before_commit", "truth.undo.committed", "settle.asked", "settle.done"))
ACTS = {
    "cut connections": 60,
    "write to the source": 60,
    "fill the disk": 20,
    "an hour passes": 12,
    "restart redis": 5,
    "restart postgres": 5,
}
COMMANDS = frozenset(("dual-write", "copy", "verify", "cutover", "rollback", "finish"))


Fates = Callable[[str, int], list[Fate]]
"""The fates of a process of a kind; the number counts how often a command was tried before."""


def random_fates(seed: int, intensity: float) -> Fates:
    """Fates drawn from a seed; `intensity` is the probability that a process has one at all. The n-th process of a kind
    has the same fates in every run of the seed, whatever the others do."""
    started: Counter[str] = Counter()

    def fates(kind: str, attempt: int) -> list[Fate]:
        started[kind] += 1
        rng = random.Random(f"{seed}/{kind}/{started[kind]}")
        if kind not in POINTS or rng.random() >= intensity or attempt >= TRIES_WITH_FATES:
            return []
        return [_fate(kind, rng) for _ in range(rng.choice((1, 1, 2)))]

    return fates


def kill_everywhere(tally: Tally) -> Fates:
    """Every process is killed at the first point that it reaches and at which none was killed before.

    Clients go on being killed in the middle of a registration until the sweeper, too, was killed everywhere: a rollback
    may have settled what earlier ones left behind.
    """

    def still_due(point: str) -> bool:
        if point == "registration.pending" and not all(tally.kills[due] for due in POINTS["sweeper"]):
            return True
        return not tally.kills[point]

    def fates(kind: str, attempt: int) -> list[Fate]:
        if kind == "rollback" and not tally.kills["truth.undo.committed"]:
            return [Fate("rollback.auth_fenced", HOLD, seconds=UNDO_SECONDS)]  # until a service undoes it
        return [Fate(point, KILL) for point in POINTS.get(kind, ()) if still_due(point)]

    return fates


def _fate(kind: str, rng: random.Random) -> Fate:
    point = rng.choice(POINTS[kind])
    visit = 1 if kind in COMMANDS or point in RARE else rng.randint(1, 5)
    what = rng.choices((KILL, HOLD, ACT, TERM), (60, 22, 13, 5))[0]
    if what == HOLD:
        return _hold(point, visit, rng)
    if what == ACT:
        return Fate(point, ACT, visit, act=rng.choices(list(ACTS), list(ACTS.values()))[0])
    return Fate(point, what, visit)


def _hold(point: str, visit: int, rng: random.Random) -> Fate:
    if point in STALLS and rng.random() < 0.7:
        return Fate(point, HOLD, visit, seconds=15.0, until=rng.choice(STALLS[point]))
    return Fate(point, HOLD, visit, seconds=rng.uniform(0.02, 0.25))
