"""One of our own processes in the stack."""

import hashlib
import json
import signal
from pathlib import Path

from devstack.plan import Spec
from devstack.process import Daemon
from devstack.schema import PROJECT
from service_kit.settings import variables


class Member:
    """A process with its command and, once the servers' addresses are known, its environment."""

    def __init__(self, spec: Spec, home: Path, stack_id: str) -> None:
        self.spec = spec
        self.environ: dict[str, str] = {}
        self.daemon = daemon(home, stack_id, spec.name)

    @property
    def name(self) -> str:
        """As in `Stack.process`."""
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self.daemon.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self.daemon.running

    @property
    def current(self) -> bool:
        """Whether it runs with the command and the settings that it should have."""
        return self.running and self.daemon.note == self._digest()

    @property
    def log(self) -> str:
        """All that it has printed."""
        path = self.daemon.log
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Starts it, after what was left of its predecessor is gone; does not wait for its health."""
        self.daemon.stop()
        self.daemon.start(self.spec.command, self.environ, PROJECT, note=self._digest())

    def stop(self, grace: float = 15.0) -> None:
        """SIGTERM, after `grace` seconds SIGKILL."""
        self.daemon.stop(grace)

    def kill(self) -> None:
        """SIGKILL to it and its children."""
        self.daemon.kill()

    def pause(self) -> None:
        """SIGSTOP to it and its children."""
        self.daemon.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Ends `pause`."""
        self.daemon.send(signal.SIGCONT)

    def _digest(self) -> str:
        """Changes with the command and the settings, not with the shell that the stack was started from."""
        known = variables()
        own = {name: value for name, value in self.environ.items() if name in known}
        return hashlib.sha256(json.dumps([self.spec.command, own], sort_keys=True).encode()).hexdigest()[:16]


def daemon(home: Path, stack_id: str, name: str) -> Daemon:
    """The background process `name` of a stack, whether it runs or not."""
    return Daemon(name, home / "run", home / "logs" / f"{name}.log", f"{stack_id}/{name}")
