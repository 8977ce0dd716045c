"""The verdict of the demonstration: one table, and the broken promises by name."""

from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from devstack.demo.direct_writer import DirectWriter
from devstack.demo.ledger import Ledger
from devstack.demo.traffic import Measures

LONGEST_PAUSE_SECONDS = 1.0


@dataclass
class Result:
    """Counts of one run. Seconds are wall time; `lost` counts rows that differ from the ledger."""

    users: int
    moved: int = 0
    seconds: float = 0.0
    copy_seconds: float = 0.0
    requests: int = 0
    failed: int = 0
    longest: float = 0.0
    acknowledged: int = 0
    refused: int = 0
    lost: int = 0
    broken: list[str] = field(default_factory=list)

    def take(self, measures: Measures, ledger: Ledger, writer: DirectWriter) -> None:
        """Bring in what clients and direct writer saw, and judge it."""
        self.requests, self.failed, self.longest = measures.requests, len(measures.failures), measures.longest
        self.acknowledged, self.refused = ledger.acknowledged, writer.refused
        self.broken += measures.failures
        self.broken += [f"direct writer: {line}" for line in writer.errors]
        if self.longest > LONGEST_PAUSE_SECONDS:
            self.broken.append(
                f"a client waited {self.longest:.2f} s, allowed is {LONGEST_PAUSE_SECONDS:.0f} s"
            )


def print_table(result: Result) -> None:
    """The table, then every broken promise (the first twenty in full)."""
    console = Console()
    table = Table(title="Migration under live traffic", show_header=False)
    rate = result.users / result.copy_seconds if result.copy_seconds else 0
    for name, value in (
        ("users in PostgreSQL at the end", f"{result.moved:,}"),
        ("copied, with everything else running", f"{rate:,.0f} rows/s"),
        ("requests served", f"{result.requests:,}"),
        ("requests failed (must be 0)", f"{result.failed:,}"),
        ("writes acknowledged", f"{result.acknowledged:,}"),
        ("acknowledged writes lost, or rows that should not be (must be 0)", f"{result.lost:,}"),
        ("direct writes that the fence refused after cutover", f"{result.refused:,}"),
        ("longest pause that a client saw (at most 1 s)", f"{result.longest * 1000:,.0f} ms"),
        ("from start to stop", f"{result.seconds:,.0f} s"),
    ):
        table.add_row(name, value)
    console.print()
    console.print(table)
    for line in result.broken[:20]:
        console.print(f"BROKEN: {line}", style="bold red", markup=False, highlight=False)
    if len(result.broken) > 20:
        console.print(f"... and {len(result.broken) - 20} more", style="red")
    console.print("Every promise held." if not result.broken else "A promise was broken.", style="bold")
