"""Nothing is lost, resurrected or told wrongly, whoever is killed where."""

from pathlib import Path

import pytest

from service_kit.steps import POINTS
from tests.faults.harness.plots import every_point
from tests.faults.harness.seed import run_seed
from tests.faults.harness.servers import Servers


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_seed_leaves_both_sides_equal_and_every_acknowledged_write_in_place(
    seed: int, fault_servers: Servers, tmp_path: Path
) -> None:
    verdict = run_seed(seed, fault_servers, tmp_path)
    assert verdict.faults == [], f"history: {verdict.history}"


def test_a_kill_at_every_named_point_loses_nothing(fault_servers: Servers, tmp_path: Path) -> None:
    verdict = run_seed(0, fault_servers, tmp_path, plot=every_point())
    assert verdict.faults == [], f"history: {verdict.history}"
    never = POINTS.keys() - verdict.tally.kills.keys()
    assert not never, f"nobody was killed at {sorted(never)}"
