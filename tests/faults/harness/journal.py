"""The history of one run: a file of JSON lines that every process of the run appends to.

A line is written with one call in append mode, so lines of several processes never mix. `t` is the machine's monotonic
clock in seconds, the same for all processes.
"""

import json
import os
import time
from pathlib import Path
from typing import Any


class Journal:
    """Appends records; may be opened by any number of processes and threads."""

    def __init__(self, path: Path, who: str) -> None:
        self.path = path
        self._who = who
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(self, what: str, **values: Any) -> float:
        """Append a record; returns its time."""
        now = time.monotonic()
        line = json.dumps({"t": round(now, 6), "who": self._who, "what": what, **values}, default=repr)
        os.write(self._file, line.encode() + b"\n")
        return now

    def close(self) -> None:
        """Close this process' handle."""
        os.close(self._file)


def read(path: Path) -> list[dict[str, Any]]:
    """All records, in the order in which they were written."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
