"""What came of a seed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.harness.control import Tally


@dataclass
class Verdict:
    """`faults` is empty when every promise held. Pauses are those that the commands measured, in milliseconds."""

    seed: int
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    tally: Tally = field(default_factory=Tally)
    writes: int = 0
    acknowledged: int = 0
    events: int = 0
    cutovers: int = 0
    rollbacks: int = 0
    cutover_ms: list[float] = field(default_factory=list)
    rollback_ms: list[float] = field(default_factory=list)
    planted: int = 0
    found: int = 0
    healed: int = 0
    ending: str = ""
    history: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        """For a line of JSON."""
        tally = {name: dict(counts) for name, counts in vars(self.tally).items()}
        return {**vars(self), "tally": tally, "history": str(self.history) if self.history else None}

    def note_story(self, records: list[dict[str, Any]]) -> None:
        """Count cutovers, rollbacks and their pauses out of the history."""
        for record in records:
            result = record.get("result") if record["what"] == "result" else None
            if isinstance(result, dict) and result.get("paused_ms") is not None:
                pauses = self.cutover_ms if record["role"].startswith("cutover#") else self.rollback_ms
                pauses.append(result["paused_ms"])
            if record["what"] == "milestone":
                self.cutovers += record["name"].startswith("cutover")
                self.rollbacks += record["name"] == "rollback"
