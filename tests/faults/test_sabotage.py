"""A run notices when a rule of the code is gone: without this, no number of clean seeds would say anything."""

from pathlib import Path

import pytest

from tests.faults.harness.plots import sabotaged
from tests.faults.harness.sabotage import SABOTAGES
from tests.faults.harness.seed import run_seed
from tests.faults.harness.servers import Servers

TRIES = 10
"""Chance decides whether a rule was needed in a run: most runs notice, now and then three in a row do not."""


@pytest.mark.parametrize("rule", SABOTAGES)
def test_a_run_notices_that_a_rule_is_gone(rule: str, fault_servers: Servers, tmp_path: Path) -> None:
    assert callable(SABOTAGES[rule].function)
    for seed in range(TRIES):
        if run_seed(seed, fault_servers, tmp_path, plot=sabotaged(seed, rule)).faults:
            return
    pytest.fail(f"{TRIES} runs found nothing wrong although {rule}")
