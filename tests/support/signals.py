"""What the threads of a process do about signals (Linux; from /proc)."""

import re
import signal
import time
from pathlib import Path

from tests.support.waiting import wait_until


def takers(pid: int, number: signal.Signals) -> list[int]:
    """The threads of `pid` that do not block `number`."""
    return [
        int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if not _blocked(task) >> number - 1 & 1
    ]


def _blocked(task: Path) -> int:
    for line in (task / "status").read_text(encoding="ascii").splitlines():
        name, _, mask = line.partition(":")
        if name == "SigBlk":
            return int(mask, 16)
    raise ValueError(f"no SigBlk in {task}/status")


def wait_until_asleep(pid: int) -> None:
    """Until no thread of `pid` has run for a tenth of a second, and each waits for something."""

    def asleep() -> bool:
        before = _waits(pid)
        time.sleep(0.1)
        return before is not None and before == _waits(pid)

    wait_until(asleep)


def _waits(pid: int) -> list[str] | None:
    """How often each thread has been taken off a processor; None when one is on it, or wants to be."""
    statuses = [(task / "status").read_text(encoding="ascii") for task in Path(f"/proc/{pid}/task").iterdir()]
    if not all(re.search(r"^State:\s+S", status, re.MULTILINE) for status in statuses):
        return None
    return [switches for status in statuses for switches in re.findall(r"ctxt_switches:\s+(\d+)", status)]
