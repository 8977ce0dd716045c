"""What PostgreSQL and Redis have in common as servers of the stack."""

import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from devstack import process, store
from devstack.place import Place
from devstack.ports import free_port, is_free


class LocalServer:
    """A server with one data folder, on a port of 127.0.0.1 that is chosen once and kept in `home/access.json`.

    Its processes are known by their working folder, which is the data folder: both servers overwrite the memory in
    which other processes show their environment.
    """

    def __init__(self, name: str, home: Path, port: int | None, log: Path | None, mark: str | None) -> None:
        self.home = home.resolve()
        self.place = Place(self.home)
        self._wanted_port = port
        self.daemon = process.Daemon(
            name, self.home, log or self.home / f"{name}.log", mark or f"{self.home}/{name}"
        )

    @property
    def running(self) -> bool:
        """Whether the server process is there."""
        return self.daemon.running

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self.daemon.pid

    @property
    def port(self) -> int:
        """TCP port, known once it was started."""
        return int(self._access()["port"])

    def kill(self) -> None:
        """SIGKILL to the server and all that it has started."""
        process.kill_all(self.processes())

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Ends `pause`."""
        self._signal(signal.SIGCONT)

    def destroy(self) -> None:
        """Stops it and removes its data and its passwords."""
        self._stop(grace=5, number=signal.SIGTERM)
        self.place.remove()

    def processes(self) -> list[psutil.Process]:
        """The server and all that it has started, however they were started."""
        return [each for folder in self.place.data_folders for each in process.inside(folder)]

    def _stop(self, grace: float, number: signal.Signals) -> None:
        self.resume()
        self.daemon.stop(grace, number)
        self.kill()

    def _launch(self, command: list[str], folder: Path, ready: Callable[[], bool], seconds: float) -> None:
        self.daemon.start(command, {}, folder, self.place.account)
        self.daemon.wait_for(ready, seconds)

    def _signal(self, number: signal.Signals) -> None:
        for each in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(number)

    def _choose_port(self) -> None:
        port = self._wanted_port or self._access().get("port")
        if not port or (not self._wanted_port and not is_free(port)):
            port = free_port()
        self._remember(port=port)

    def _access(self) -> dict[str, Any]:
        return store.read(self.home / "access.json")

    def _remember(self, **values: Any) -> None:
        store.write(self.home / "access.json", self._access() | values)
