"""The operator's story of one seed: from a legacy file through cutovers and rollbacks, under writers and kills."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.harness.cast import WRITERS, Cast
from tests.faults.harness.control import Controller, Fate
from tests.faults.harness.corrupt import Corruptor
from tests.faults.harness.event_judge import behind
from tests.faults.harness.fates import Fates
from tests.faults.harness.journal import Journal
from tests.faults.harness.legacy import state_of_file
from tests.faults.harness.processes import Crew
from tests.faults.harness.servers import Databases

TRIES = 40
COMMAND_SECONDS = 45.0
EVENT_SECONDS = 30.0


class Stuck(Exception):
    """A command never reached its goal."""


@dataclass
class Story:
    """One run. `fates` decides what happens to a process."""

    file: Path
    crew: Crew
    cast: Cast
    controller: Controller
    journal: Journal
    rng: random.Random
    fates: Fates
    corruptor: Corruptor
    databases: Databases
    milestones: set[str] = field(default_factory=set)

    def phase(self) -> str:
        """The file's phase now."""
        return state_of_file(self.file)[1]

    def command(self, name: str, reached: Callable[[], bool], *options: str) -> None:
        """Run a command again and again until its goal is reached, whatever kills it on the way."""
        for attempt in range(TRIES):
            self._once(name, self.fates(name, attempt), options)
            if reached():
                self.journal.note("reached", command=name, attempts=attempt + 1, phase=self.phase())
                return
            self.let_pass(0.02)
        raise Stuck(f"{name} did not reach its goal in {TRIES} tries; the phase is {self.phase()}")

    def _once(self, name: str, fates: list[Fate], options: tuple[str, ...]) -> None:
        """One process of a command: until it ends, or stalls and is left behind as it is."""
        role = self.crew.start("command", fates, called=name, name=name, options=list(options))
        deadline = time.monotonic() + COMMAND_SECONDS
        while self.crew.running(role) and not self.controller.stalled(role):
            if time.monotonic() > deadline:
                raise Stuck(f"{role} has not ended within {COMMAND_SECONDS} s")
            self.cast.tend()
            time.sleep(0.004)

    def let_pass(self, seconds: float) -> None:
        """Let the writers go on for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.cast.tend()
            time.sleep(0.004)

    def milestone(self, name: str) -> None:
        """Whoever stalled until now goes on."""
        self.milestones.add(name)
        self.controller.milestone(name)

    # ---- chapters

    def to_verified(self, corruptions: Sequence[str] = ()) -> None:
        """dual-write, copy, verify, which must find the rows of PostgreSQL that were changed behind its back."""
        self.command("dual-write", lambda: self.phase() != "legacy")
        self.let_pass(self.rng.uniform(0, 0.1))
        self.command("copy", lambda: self.phase() in ("copied", "verified"))
        self.milestone("copied")
        self.corruptor.plant(corruptions)
        self.command("verify", lambda: self.phase() == "verified", "--repair")
        self.corruptor.account()

    def cutover(self) -> None:
        """Until PostgreSQL is the truth; a verification that became void meanwhile is made again."""

        def reached() -> bool:
            if self.phase() in ("dual_write", "copied"):
                self.to_verified()
            return self.phase() == "cutover"

        self.command("cutover", reached)
        self.milestone("cutover again" if "cutover" in self.milestones else "cutover")

    def rollback(self) -> None:
        """Until the file is the truth again."""
        self.command("rollback", lambda: state_of_file(self.file)[0] % 2 == 0)
        self.milestone("rollback")

    def finish(self) -> None:
        """The last step; there is no way back."""
        self.command("finish", lambda: self.phase() == "finished")
        self.milestone("finish")

    def quiet(self) -> None:
        """Writers stop, whoever stalled goes on, and the side that follows is brought up to date."""
        self.cast.dismiss(*WRITERS)
        self.controller.release()
        self.cast.dismiss(*list(self.cast.parts))
        self.crew.end(15.0)
        role = self.crew.start("bring_level")
        if self.crew.wait(role, 30.0):
            raise Stuck("the side that follows could not be brought up to date")
        self._hear_all()

    def _hear_all(self) -> None:
        """The events processes come to the end of what there is to tell."""
        roles = [self.crew.start(f"events_of_{service}", seconds=0.0) for service in ("user", "auth")]
        seen: list[str] = []
        deadline = 0.0
        while left := behind(self.databases):
            if left != seen:
                seen, deadline = left, time.monotonic() + EVENT_SECONDS
            elif time.monotonic() > deadline:
                raise Stuck(f"events: {'; '.join(left)}")
            time.sleep(0.02)
        for role in roles:
            self.crew.stop(role)
        self.crew.end(15.0)
