"""The protocol keeps its promises in every interleaving, and each of its rules is needed."""

import pytest

from tests.model.every import RUNS
from tests.model.runs import Run

BOUNDED = [run for run in RUNS if not run.slow]


@pytest.mark.parametrize("run", BOUNDED, ids=lambda run: run.name)
def test_the_whole_space_holds_and_a_weakened_rule_is_found(run: Run) -> None:
    outcome = run.explore()
    assert run.as_expected(outcome), f"{outcome.violation}\n" + "\n".join(outcome.schedule)


def test_names_of_explorations_are_unique() -> None:
    names = [run.name for run in RUNS]
    assert len(set(names)) == len(names)
