"""The other end of `service_kit.steps`: kills a process when it reaches a point for the second time."""

import json
import os
import signal
import socket
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

VISIT = 2


class Killer:
    """Listens on `path`. A process whose role is the name of a point dies there; every other point is passed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.killed: list[str] = []
        self._visits: Counter[str] = Counter()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening: from now on every point is passed."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        self.path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        said = json.loads(connection.makefile().readline())
        if said["point"] == said["role"]:
            self._visits[said["point"]] += 1
            if self._visits[said["point"]] == VISIT:
                self.killed.append(said["point"])
                os.kill(said["pid"], signal.SIGKILL)
                return
        connection.sendall(b"go\n")
