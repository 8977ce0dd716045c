"""Run a WSGI application on Granian: one worker process with threads, drained on SIGTERM (`service_kit.draining`).

More processes of a service are more instances of it, each with its own port and metrics.
"""

import ctypes
import os
import platform
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from flask import Flask
from granian import Granian
from granian.constants import HTTPModes, Interfaces

from service_kit import draining, signals

DRAIN_SECONDS = 30
"""For the requests in flight, once the port is closed."""
_PR_SET_PDEATHSIG = 1
_TO_STOP = {signal.SIGTERM, signal.SIGINT}
_RECEIVED = _TO_STOP | {draining.SIGNAL}


class _Server(Granian):  # type: ignore[misc, valid-type]  # a class that depends on the interpreter
    """Tells its worker of the first signal, and ends it `notice` seconds later; at a second signal at once."""

    notice = 0.0
    _told = False

    def signal_handler_interrupt(self, *_: Any, **__: Any) -> None:
        if self._told or not self.notice:
            super().signal_handler_interrupt()
            return
        self._told = True
        for worker in self.wrks:
            if worker.is_alive():
                os.kill(worker.inner.pid, draining.SIGNAL)
        later = threading.Timer(self.notice, super().signal_handler_interrupt)
        later.daemon = True
        later.start()


def serve(factory: str, *, host: str, port: int, threads: int, notice: float, **options: Any) -> None:
    """Serve until SIGTERM or SIGINT, announce the end for `notice` seconds, finish the requests in flight, return.

    `factory`: "module:function" that makes the application in the worker process. `threads`: requests at
    once. `options` go to Granian. SystemExit when the port is taken.
    """
    _refuse_taken(host, port)
    _receive_signals(signal.SIG_IGN)
    server = _Server(
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
    server.notice = notice
    server.serve()


def _refuse_taken(host: str, port: int) -> None:
    """Granian listens with SO_REUSEPORT: it would share a taken port silently and get half of the requests."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise SystemExit(f"port {port} on {host} cannot be used: {error.strerror}") from error


def _receive_signals(announce: Callable[..., object] | signal.Handlers) -> None:
    """From now on; until Granian sets its handlers, the signals to stop just end the process."""
    for number in _TO_STOP:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(draining.SIGNAL, announce)
    signals.receive(_RECEIVED)


def enter_worker() -> None:
    """Called first in a worker process: it dies with its parent, and signals wait until `receive_in_worker`."""
    die_with_parent()
    signals.block(_RECEIVED)


def receive_in_worker(app: Flask) -> None:
    """Called last in a worker process, in its main thread: it announces its end and stops when it is told to."""
    _receive_signals(app.extensions["draining"].begin)


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
