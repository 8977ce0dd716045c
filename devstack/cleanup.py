"""Ends processes of a stack, however they came to be without anybody who looks after them, and removes its
files.
"""

import contextlib
import os
from pathlib import Path

import psutil

from devstack import process
from devstack.member import daemon

STOP_SECONDS = 20.0

FIRST = "gateway-"
"""Whoever takes requests from outside stops first, so that what it has accepted is still answered."""


def stop_members(home: Path, stack_id: str) -> None:
    """Stops all of our own processes: the gateway, then the rest, each politely and then by SIGKILL."""
    names = _names(home, stack_id) - {"postgres", "redis"}
    first = {name for name in names if name.startswith(FIRST)}
    for group in (first, names - first):
        stop(home, stack_id, group)


def stop_strangers(home: Path, stack_id: str, wanted: set[str]) -> None:
    """Stops processes that an earlier start with other settings has left."""
    stop(home, stack_id, _names(home, stack_id) - wanted)


def stop(home: Path, stack_id: str, names: set[str]) -> None:
    """Stops the processes with these names, all at the same time."""
    daemons = [daemon(home, stack_id, name) for name in sorted(names)]
    asked = [each.ask_to_stop() for each in daemons]
    process.wait_gone([each for each in asked if each], STOP_SECONDS)
    for each in daemons:
        each.stop(grace=0)


def kill_marked(stack_id: str) -> None:
    """Ends whatever still carries the stack's mark."""
    process.kill_all(process.marked(f"{stack_id}/"))


def is_marked(stack_id: str) -> bool:
    """Whether any process of the stack is there."""
    return bool(process.marked(f"{stack_id}/"))


def listening_ports(stack_id: str) -> frozenset[int]:
    """The TCP ports that processes of the stack listen on."""
    ports = set()
    for each in process.marked(f"{stack_id}/"):
        with contextlib.suppress(psutil.Error):
            for connection in each.net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr:
                    ports.add(connection.laddr.port)
    return frozenset(ports)


def _names(home: Path, stack_id: str) -> set[str]:
    """Names of the processes that were written down, and of those that carry the mark."""
    written = {path.stem for path in (home / "run").glob("*.json")}
    marks = []
    for each in process.marked(f"{stack_id}/"):
        with contextlib.suppress(psutil.Error, OSError):
            marks.append(each.environ()[process.MARK])
    return written | {os.path.basename(mark) for mark in marks}
