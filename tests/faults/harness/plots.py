"""Plots: who takes part in a run, what happens to them, and which chapters there are."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.harness.control import Tally
from tests.faults.harness.corrupt import some_forms
from tests.faults.harness.fates import POINTS, Fates, kill_everywhere, random_fates
from tests.faults.harness.story import Story, Stuck

AFTER_CUTOVER = ("rollback", "finish", "stay")
POINT_SECONDS = 40.0
MOST_TURNS = 5


@dataclass(frozen=True)
class Plot:
    """`parts`: how many processes of each kind run beside the commands; `pause`: seconds between a writer's
    transactions, at most; `sabotage`: the rule that is taken away (see `sabotage`)."""

    fates: Callable[[Tally], Fates]
    parts: dict[str, int]
    pause: float
    tell: Callable[[Story], None]
    sabotage: str = ""


def random_plot(seed: int) -> Plot:
    """What a seed decides."""
    rng = random.Random(f"{seed}/plot")
    intensity = rng.choice((0.3, 0.6, 0.9, 1.0))
    hears = rng.choice((0, 0, 1))
    parts = {
        "monolith_writer": rng.choice((1, 1, 2)),
        "client": rng.choice((1, 2)),
        "applier": rng.choice((0, 1, 2)),
        "reverse_applier": rng.choice((0, 1, 2)),
        "sweeper": 1,
        "chunk_worker": rng.choice((1, 2, 3)),
        "events_of_user": hears,
        "events_of_auth": hears,
    }
    return Plot(lambda _: random_fates(seed, intensity), parts, rng.choice((0.06, 0.15)), _there_and_back)


def _there_and_back(story: Story) -> None:
    rng = story.rng
    story.let_pass(rng.uniform(0, 0.1))
    story.to_verified(some_forms(rng, rng.choice((0, 0, 1, 2, 4))))
    story.cutover()
    story.let_pass(rng.uniform(0, 0.2))
    for _ in range(rng.choice((0, 1, 1, 2))):
        story.rollback()
        story.let_pass(rng.uniform(0, 0.15))
        story.to_verified(some_forms(rng, rng.choice((0, 0, 1, 3))))
        story.cutover()
        story.let_pass(rng.uniform(0, 0.15))
    ending = rng.choice(AFTER_CUTOVER)
    if ending == "rollback":
        story.rollback()
    elif ending == "finish":
        story.finish()
    story.let_pass(rng.uniform(0, 0.1))


def sabotaged(seed: int, rule: str) -> Plot:
    """All chapters without kills, but with a rule of the code taken away."""
    parts = {
        "monolith_writer": 2,
        "client": 2,
        "applier": 1,
        "reverse_applier": 1,
        "sweeper": 1,
        "chunk_worker": 2,
    }
    return Plot(lambda _: random_fates(seed, 0.0), parts, 0.03, _every_chapter, rule)


def _every_chapter(story: Story) -> None:
    story.let_pass(0.1)
    story.to_verified(("extra user", "extra credential"))
    story.cutover()
    story.let_pass(0.5)
    story.rollback()
    story.let_pass(0.3)
    story.to_verified()
    story.cutover()
    story.let_pass(0.5)


def every_point() -> Plot:
    """Somebody is killed at every point there is."""
    parts = dict.fromkeys(
        POINTS.keys() & {"client", "applier", "reverse_applier", "sweeper", "chunk_worker"}, 1
    )
    parts |= {"monolith_writer": 1, "events_of_user": 1, "events_of_auth": 1}
    return Plot(kill_everywhere, parts, 0.03, _through_every_point)


def _through_every_point(story: Story) -> None:
    story.to_verified(("extra user", "extra credential"))
    _wait_for_kills(
        story, "truth.write.before_file", "truth.write.file_committed", "apply.", "registration.hashed"
    )
    story.cutover()
    for _ in range(MOST_TURNS):
        story.rollback()
        story.to_verified()
        story.cutover()
        if not _missing(story, "cutover.", "rollback."):
            break
    _wait_for_kills(
        story, "truth.", "reverse.", "registration.", "settle.", "sequencer.", "relay.", "consumer."
    )
    story.finish()
    story.command("finish", lambda: not _missing(story, "finish."))


def _missing(story: Story, *prefixes: str) -> set[str]:
    """Points whose name begins so and at which nobody was killed."""
    wanted = {point for points in POINTS.values() for point in points if point.startswith(prefixes)}
    return wanted - story.controller.tally.kills.keys()


def _wait_for_kills(story: Story, *prefixes: str) -> None:
    deadline = time.monotonic() + POINT_SECONDS
    while missing := _missing(story, *prefixes):
        if time.monotonic() > deadline:
            raise Stuck(f"nobody came to {', '.join(sorted(missing))}")
        story.let_pass(0.05)
