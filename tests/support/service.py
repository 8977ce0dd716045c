"""One of our services as a real process."""

import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from devstack.process import Daemon
from devstack.schema import PROJECT
from tests.support.waiting import wait_until


class ServiceProcess:
    """`python -m MODULE` with `environ` (see `service_environment`); a context manager that starts and stops
    it.

    The port must be in `environ` under the module's own name too (USER_PORT, ...); `port` is where to ask
    `/readyz`. The folder takes the log, `NAME.log`.
    """

    def __init__(
        self,
        module: str,
        environ: Mapping[str, str],
        port: int,
        folder: Path,
        *arguments: str,
        name: str | None = None,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.name = name or f"{module}-{port}"
        self.environ = dict(environ)
        self._command = [sys.executable, "-m", module, *arguments]
        self._daemon = Daemon(self.name, folder, folder / f"{self.name}.log", f"{folder}/{self.name}")

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._daemon.pid

    @property
    def log(self) -> str:
        """Everything that it has printed."""
        path = self._daemon.log
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def start(self, path: str = "/readyz", timeout: float = 30.0) -> "ServiceProcess":
        """Starts it and waits until `path` answers 200; with an empty path it does not wait."""
        self._daemon.start(self._command, self.environ, PROJECT)
        if path:
            wait_until(lambda: self._ready(path), timeout, f"{self.name}{path}")
        return self

    def stop(self, grace: float = 15.0) -> None:
        """SIGTERM, later SIGKILL; children too."""
        self._daemon.stop(grace)

    def kill(self) -> None:
        """SIGKILL to it and its children."""
        self._daemon.kill()

    def status(self, path: str, timeout: float = 2.0) -> int:
        """HTTP status of a GET; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=timeout) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def _ready(self, path: str) -> bool:
        if not self._daemon.running:
            raise AssertionError(str(self._daemon.failed("ended while starting")))
        return self.status(path) == 200

    def __enter__(self) -> "ServiceProcess":
        try:
            return self.start()
        except BaseException:
            self.stop(grace=1)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
