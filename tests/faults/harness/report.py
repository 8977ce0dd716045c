"""The table of a run, out of the verdicts of its seeds. Verdicts are kept as JSON lines, so that runs add up."""

import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from service_kit.steps import POINTS
from tests.faults.harness.verdict import Verdict


def keep(verdict: Verdict, path: Path) -> None:
    """Append a verdict to a file of them."""
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(verdict.as_dict()) + "\n")


def kept(path: Path) -> list[dict[str, Any]]:
    """All verdicts of a file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def table(verdicts: Iterable[dict[str, Any]]) -> str:
    """The table, as Markdown."""
    seeds = list(verdicts)
    if not seeds:
        return "no seeds"
    total = {name: sum(seed[name] for seed in seeds) for name in _SUMS}
    tally = {name: _count(seeds, name) for name in ("kills", "holds", "acts", "visits")}
    failed = [seed["seed"] for seed in seeds if seed["faults"]]
    lines = [
        "| what | count |", "| --- | ---: |",
        f"| seeds | {len(seeds):,} |",
        f"| seeds with a difference, a lost or a resurrected write | {len(failed)} |",
        f"| transactions begun by writers | {total['writes']:,} |",
        f"| of those acknowledged | {total['acknowledged']:,} |",
        f"| processes killed at a named point | {sum(tally['kills'].values()):,} |",
        f"| processes stalled at a named point | {sum(tally['holds'].values()):,} |",
        *(f"| {name} | {count:,} |" for name, count in sorted(tally["acts"].items())),
        f"| events appended, each with one effect in each service | {total['events']:,} |",
        f"| cutovers | {total['cutovers']:,} |", f"| rollbacks | {total['rollbacks']:,} |",
        f"| pause of writers at a cutover, p50 / p99 / longest | {_pauses(seeds, 'cutover_ms')} |",
        f"| pause of writers at a rollback, p50 / p99 / longest | {_pauses(seeds, 'rollback_ms')} |",
        f"| corruptions planted | {total['planted']:,} |",
        f"| of those overwritten by traffic before verify came by | {total['healed']:,} |",
        f"| of the others found by verify | {total['found']:,} |",
        "", "| point | passed | killed | stalled |", "| --- | ---: | ---: | ---: |",
        *(f"| `{point}` | {tally['visits'][point]:,} | {tally['kills'][point]:,} | {tally['holds'][point]:,} |"
          for point in POINTS if tally["visits"][point]),
    ]  # fmt: skip
    if failed:
        lines += [
            "",
            "Replay a failure: "
            + ", ".join(f"`python -m tests.faults.run --seed {seed}`" for seed in failed),
        ]
    return "\n".join(lines)


_SUMS = ("writes", "acknowledged", "planted", "found", "healed", "cutovers", "rollbacks", "events")


def _count(seeds: list[dict[str, Any]], name: str) -> Counter[str]:
    total: Counter[str] = Counter()
    for seed in seeds:
        total.update(seed["tally"][name])
    return total


def _pauses(seeds: list[dict[str, Any]], name: str) -> str:
    values = sorted(value for seed in seeds for value in seed[name])
    if not values:
        return "none"
    return " / ".join(
        f"{values[max(0, math.ceil(share * len(values)) - 1)]:.0f} ms" for share in (0.5, 0.99, 1.0)
    )
