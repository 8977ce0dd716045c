"""Run a WSGI application on Granian: one worker process with threads, drained on SIGTERM.

More processes of a service are more instances of it, each with its own port and metrics.
"""

import ctypes
import os
import platform
import signal
import socket
import threading
import time
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces

DRAIN_SECONDS = 30
_PR_SET_PDEATHSIG = 1


def serve(factory: str, *, host: str, port: int, threads: int, **options: Any) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in flight and return.

    `factory`: "module:function" that makes the application in the worker process. `threads`: requests at
    once. `options` go to Granian. SystemExit when the port is taken.
    """
    _refuse_taken(host, port)
    server = Granian(
        factory,
        factory=True,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=1,
        blocking_threads=threads,
        websockets=False,
        log_enabled=False,
        workers_kill_timeout=DRAIN_SECONDS,
        respawn_failed_workers=True,
        **options,
    )
    server.serve()


def _refuse_taken(host: str, port: int) -> None:
    """Granian listens with SO_REUSEPORT: it would share a taken port silently and get half of the requests."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise SystemExit(f"port {port} on {host} cannot be used: {error.strerror}") from error


def die_with_parent() -> None:
    """Called in a worker process: it must not outlive its parent, which is what others stop and watch."""
    parent = os.getppid()
    if platform.system() == "Linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        return
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)
