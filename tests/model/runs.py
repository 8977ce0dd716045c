"""One exploration: a model, and what it must come to."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.model.search import STUCK, STUCK_ALONE, Model, Outcome, explore

LOST, SPLIT, OLD, RESURRECTED = "lost write", "split brain", "old read", "resurrected"
HALF_USER, TWO_OWNERS = "half a user", "two clients"
__all__ = ["HALF_USER", "LOST", "OLD", "RESURRECTED", "SPLIT", "STUCK", "STUCK_ALONE", "TWO_OWNERS", "Run"]


@dataclass(frozen=True)
class Run:
    """`finds` is the beginning of the violation that must be found, None when the whole space must hold every
    promise; `only` makes the search pass over violations of other promises. Slow runs are left to `--all`."""

    name: str
    build: Callable[[], Model]
    finds: str | None = None
    only: bool = False
    slow: bool = False

    def explore(self) -> Outcome:
        """Search the model."""
        return explore(self.build(), only=self.finds if self.only else None)

    def as_expected(self, outcome: Outcome) -> bool:
        """The search ended as it must."""
        if self.finds is None:
            return outcome.violation is None and outcome.complete
        return outcome.violation is not None and outcome.violation.startswith(self.finds)
