"""One PostgreSQL and one Redis for a whole run, and fresh databases in them for each seed."""

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from devstack import schema
from devstack.postgres import Postgres
from devstack.redis import Redis
from tests.support.environment import service_environment

ROLES = {"user_db": "user_service", "auth_db": "auth_service", "migration_db": "migration"}


OUTAGE_SECONDS = 20.0


@dataclass(frozen=True)
class Databases:
    """Addresses of the three databases of one seed."""

    user_db: str
    auth_db: str
    migration_db: str

    @property
    def names(self) -> list[str]:
        return [url.rpartition("/")[2] for url in (self.user_db, self.auth_db, self.migration_db)]


class Servers:
    """A context manager: starts the servers, makes the templates, and removes everything."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="faults-"))
        self.home.chmod(0o711)
        self.postgres = Postgres(self.home / "postgres", durable=False)
        self.redis = Redis(self.home / "redis")

    def __enter__(self) -> "Servers":
        try:
            self.postgres.start()
            self.redis.start()
            self._cheapen_logins()
            for database, role in ROLES.items():
                self.postgres.create_role(role)
                self.postgres.create_database(f"template_{database}", role)
                schema.upgrade(database, self._schema_settings(f"template_{database}"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.postgres.destroy()
        self.redis.destroy()
        shutil.rmtree(self.home, ignore_errors=True)

    def _cheapen_logins(self) -> None:
        """A seed makes hundreds of connections; the passwords of its roles need not withstand anybody."""
        with self.postgres.administration() as cursor:
            cursor.execute("ALTER SYSTEM SET scram_iterations = 1")
            cursor.execute("SELECT pg_reload_conf()")

    def databases(self, tag: str) -> Databases:
        """Three fresh databases."""
        urls = {}
        for database, role in ROLES.items():
            name = f"{database}_{tag}"
            self.postgres.create_database(name, role, f"template_{database}")
            urls[database] = self.postgres.url(name)
        return Databases(**urls)

    def drop(self, databases: Databases) -> None:
        """Remove them, whoever is connected."""
        for name in databases.names:
            self.postgres.drop_database(name)

    def cut_connections(self, databases: Databases) -> None:
        """End every session on them, as a failing network or a failover would."""
        with self.postgres.administration() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s)",
                           (databases.names,))  # fmt: skip

    def restart(self) -> None:
        """Kill the whole server and start it again: its recovery is part of the outage."""
        self.postgres.kill()
        self.postgres.start()

    def restart_redis(self) -> None:
        """Kill Redis and start it again, empty."""
        self.redis.kill()
        self.redis.start()

    def environment(self, databases: Databases, legacy: Path, **more: object) -> dict[str, str]:
        """The settings of a seed's processes."""
        return service_environment(
            user_database_url=databases.user_db,
            auth_database_url=databases.auth_db,
            migration_database_url=databases.migration_db,
            redis_url=self.redis.url,
            legacy_sqlite_path=legacy,
            **more,
        )

    def _schema_settings(self, database: str) -> dict[str, str]:
        url = self.postgres.url(database)
        names = ("user_database_url", "auth_database_url", "migration_database_url")
        return service_environment(dict.fromkeys(names, url), redis_url=self.redis.url, legacy_sqlite_path="")


def run_sql(url: str, statement: str, *values: object) -> list[tuple]:
    """One statement in a transaction of its own, by plain psycopg2."""
    deadline = time.monotonic() + OUTAGE_SECONDS
    while True:
        try:
            return _run_once(url, statement, values)
        except psycopg2.OperationalError:  # an outage of a run; what is asked here may be asked again
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _run_once(url: str, statement: str, values: tuple[object, ...]) -> list[tuple]:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()
