"""Randomised runs: `python -m tests.faults.run --seeds N [--seed S]`.

A seed decides what is written, which processes are killed, stalled or cut off and where, and how the operator's story
goes. It does not decide how the processes' steps interleave: that is left to the machine. Every run of a seed leaves
its whole history when a promise broke, in `.run/faults/seed-S/`.
"""

import argparse
import signal
import sys
from pathlib import Path

from devstack.schema import PROJECT
from tests.faults.harness import report
from tests.faults.harness.processes import start_fork_server
from tests.faults.harness.seed import run_seed
from tests.faults.harness.servers import Servers
from tests.faults.harness.verdict import Verdict

HOME = PROJECT / ".run" / "faults"


def main(arguments: list[str] | None = None) -> int:
    """Run the seeds, print the table; exit code 1 when a promise broke."""
    options = _options(arguments)
    if options.table:
        print(report.table(report.kept(options.table)))
        return 0
    seeds = (
        [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # servers and processes end with us
    start_fork_server()
    verdicts = []
    with Servers() as servers:
        for seed in seeds:
            verdict = run_seed(seed, servers, HOME, keep=options.keep)
            verdicts.append(verdict)
            _say(verdict)
            if options.record:
                report.keep(verdict, options.record)
    print(report.table(verdict.as_dict() for verdict in verdicts))
    return 1 if any(verdict.faults for verdict in verdicts) else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.run", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="this one only")
    parser.add_argument("--keep", action="store_true", help="keep the history of seeds without a fault, too")
    parser.add_argument("--record", type=Path, help="append every verdict to this file; runs add up")
    parser.add_argument("--table", type=Path, help="print the table of such a file, run nothing")
    return parser.parse_args(arguments)


def _say(verdict: Verdict) -> None:
    kills = sum(verdict.tally.kills.values())
    state = "ok" if not verdict.faults else "FAULT"
    print(f"seed {verdict.seed}: {state}, {verdict.seconds:.1f} s, ends in {verdict.ending}, "
          f"{verdict.acknowledged} writes acknowledged, {kills} kills", flush=True)  # fmt: skip
    for fault in verdict.faults:
        print(f"  {fault}", flush=True)
    if verdict.history:
        print(f"  history: {verdict.history}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
