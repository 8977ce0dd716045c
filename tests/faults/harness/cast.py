"""The processes that run through a whole story: writers and periodic appliers, replaced when they end or are killed."""

import random
from collections import Counter
from dataclasses import dataclass, field

from tests.faults.harness.control import Controller
from tests.faults.harness.fates import Fates
from tests.faults.harness.processes import Crew

WRITERS = ("monolith_writer", "client")
SECONDS = 60.0


@dataclass
class Cast:
    """`parts`: how many processes of each kind there are to be."""

    crew: Crew
    controller: Controller
    seed: int
    fates: Fates
    pause: float
    parts: dict[str, int]
    _roles: dict[str, list[str]] = field(default_factory=dict)
    _started: Counter[str] = field(default_factory=Counter)

    def tend(self) -> None:
        """Start whoever is missing."""
        for kind, wanted in self.parts.items():
            alive = [role for role in self._roles.get(kind, []) if self._works(role)]
            while len(alive) < wanted:
                alive.append(self._start(kind))
            self._roles[kind] = alive

    def _works(self, role: str) -> bool:
        """It runs and is not stalled: whoever is gets a substitute, and goes on beside it later."""
        return self.crew.running(role) and not self.controller.stalled(role)

    def dismiss(self, *kinds: str) -> None:
        """Send SIGTERM to all of these kinds and replace them no more."""
        for kind in kinds:
            self.parts[kind] = 0
            self._roles.pop(kind, None)
            for role in self.crew.everybody():
                if role.startswith(f"{kind}#"):
                    self.crew.stop(role)

    def _start(self, kind: str) -> str:
        self._started[kind] += 1
        rng = random.Random(f"{self.seed}/{kind}/{self._started[kind]}/arguments")
        arguments: dict[str, float | int] = {"seconds": SECONDS}
        if kind in WRITERS:
            arguments |= {"seed": rng.randrange(2**31), "pause": self.pause}
        if kind == "chunk_worker":
            arguments |= {"seed": rng.randrange(2**31)}
        return self.crew.start(kind, self.fates(kind, 0), **arguments)
