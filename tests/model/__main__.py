"""Explore the models: `python -m tests.model [--all] [--trace] [part of a name]`.

Without `--all` the explorations that `make test` runs; with it the larger instances as well (some minutes on one
core). Exit code 1 when one of them does not end as it must.
"""

import argparse
import sys

from tests.model.every import RUNS
from tests.model.runs import Run


def main(arguments: list[str] | None = None) -> int:
    """Explore, print a line each, and return how it went."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="the larger instances as well")
    parser.add_argument("--trace", action="store_true", help="print the schedule of every violation")
    parser.add_argument("name", nargs="?", default="", help="only explorations whose name contains this")
    options = parser.parse_args(arguments)
    wanted = [run for run in RUNS if options.name in run.name and (options.all or not run.slow)]
    failed = sum(not _show(run, options.trace) for run in wanted)
    print(f"{len(wanted)} explorations, {failed} did not end as they must")
    return 1 if failed or not wanted else 0


def _show(run: Run, trace: bool) -> bool:
    outcome = run.explore()
    right = run.as_expected(outcome)
    found = outcome.violation or ("no violation" if outcome.complete else "NOT the whole space")
    print(
        f"{'ok  ' if right else 'FAIL'} {outcome.states:9,} states {outcome.seconds:6.1f} s  {run.name}: {found}",
        flush=True,
    )
    if trace or not right:
        for n, line in enumerate(outcome.schedule, 1):
            print(f"       {n:2} {line}")
    return right


if __name__ == "__main__":
    sys.exit(main())
