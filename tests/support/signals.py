"""Which threads of a process may take a signal."""

import signal
from pathlib import Path


def takers(pid: int, number: signal.Signals) -> list[int]:
    """The threads of `pid` that do not block `number` (Linux; from /proc)."""
    return [
        int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if not _blocked(task) >> number - 1 & 1
    ]


def _blocked(task: Path) -> int:
    for line in (task / "status").read_text(encoding="ascii").splitlines():
        name, _, mask = line.partition(":")
        if name == "SigBlk":
            return int(mask, 16)
    raise ValueError(f"no SigBlk in {task}/status")
