"""`make bench`: every benchmark, one after the other.

    python benchmarks/run.py [NAME ...]

A benchmark is a module of this folder that runs with `python -m benchmarks.NAME`, prints its figures and ends with 1
when a target is missed or something that it needs is not there.
"""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]

BENCHMARKS = {
    "gateway": "requests/s beside Express with http-proxy-middleware",
    "events": "appending, consuming, latency",
    "login_timing": "login of an unknown user beside a wrong password",
    "migration": "copy and verify beside pgloader",
    "dual_write": "a write to both stores beside a write to PostgreSQL alone",
}
"""Module -> what it measures; add yours."""


def main() -> int:
    """Runs the named ones, or all."""
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    failed = []
    for name in names:
        print(f"== {name}: {BENCHMARKS[name]}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=PROJECT, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"missed or not measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
