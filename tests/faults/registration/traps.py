"""The other end of `service_kit.steps`: the next process of a role that reaches a point is killed or held there."""

import json
import os
import signal
import socket
import threading
from contextlib import suppress
from pathlib import Path

HOLD_SECONDS = 60.0


class Trap:
    """One armed point. `sprung` is set when a process has come to it, `release` lets a held one go on."""

    def __init__(self, role: str, point: str, kill: bool) -> None:
        self.role = role
        self.point = point
        self.kill = kill
        self.sprung = threading.Event()
        self.release = threading.Event()


class Traps:
    """Listens on `path`; points without a trap are passed. A trap catches one process and is gone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._armed: list[Trap] = []
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def kill_at(self, role: str, point: str) -> Trap:
        """SIGKILL for the next process of `role` at `point`."""
        return self._arm(Trap(role, point, kill=True))

    def hold_at(self, role: str, point: str) -> Trap:
        """The next thread of `role` at `point` waits until the trap's `release`."""
        return self._arm(Trap(role, point, kill=False))

    def close(self) -> None:
        """Let everybody go and stop listening."""
        for trap in self._armed:
            trap.release.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def _arm(self, trap: Trap) -> Trap:
        with self._lock:
            self._armed.append(trap)
        return trap

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, ValueError):
            said = json.loads(connection.makefile().readline())
            trap = self._caught(said["role"], said["point"])
            if trap is not None and trap.kill:
                os.kill(said["pid"], signal.SIGKILL)
                trap.sprung.set()
                return
            if trap is not None:
                trap.sprung.set()
                trap.release.wait(HOLD_SECONDS)
            connection.sendall(b"go\n")

    def _caught(self, role: str, point: str) -> Trap | None:
        with self._lock:
            for trap in self._armed:
                if (trap.role, trap.point) == (role, point) and not trap.sprung.is_set():
                    self._armed.remove(trap)
                    return trap
        return None
