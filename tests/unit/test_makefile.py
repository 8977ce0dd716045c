"""What the documents promise of `make` is there."""

import re
import subprocess

from devstack.schema import PROJECT

TARGETS = {
    "env",
    "up",
    "down",
    "reset",
    "status",
    "demo",
    "test",
    "unit",
    "lint",
    "format",
    "bench",
    "faults",
    "help",
}


def test_help_lists_every_target() -> None:
    listed = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make (\w+) ", listed, re.MULTILINE)) == TARGETS


def test_every_target_makes_the_environment_first() -> None:
    rules = re.findall(r"^(\w+):(.*?)##", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert {name for name, needs in rules if needs.split() != ["env"]} == {"env", "help"}


def test_what_has_to_pass_before_a_change_lands_is_lint_and_test() -> None:
    lines = (PROJECT / ".ci" / "run").read_text().splitlines()
    assert [line for line in lines if line.startswith("make")] == ["make lint", "make test"]
    assert "set -euo pipefail" in lines
