"""The whole stack in one folder: servers, schemas, processes; up, down, and whatever a test wants to do to a
part.

    with Stack(folder, ports="free", processes=("gateway", "user", "auth"), instances={"user": 2}) as stack:
        stack.process("user-1").kill()
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from devstack import checks, cleanup, environment, plan, sample, schema, watch
from devstack import home as homes
from devstack.configuration import DATABASE_VARIABLES, Configuration
from devstack.member import Member
from devstack.postgres import Postgres
from devstack.redis import Redis
from service_kit import stack_env

ROLES = {"user_db": "user_service", "auth_db": "auth_service", "migration_db": "migration"}


class Stack:
    """Everything below `home`; two homes are two stacks.

    Args:
        home: folder for data, logs, secrets and records; made when missing.
        ports: "free" for free ports, which the home keeps; None for those of the settings.
        env: settings, over those of the shell; `inherit=False` leaves the shell's out.
        processes: the kinds to start (see `plan.KINDS`), by default all.
        instances: how many of a kind, by default one; the second user service is `user-2`.
        durable: False lets PostgreSQL skip its disk flushes; for tests.
        say: takes lines for the person who waits.
    """

    def __init__(
        self,
        home: Path,
        ports: str | None = None,
        env: Mapping[str, str] | None = None,
        processes: Iterable[str] | None = None,
        instances: Mapping[str, int] | None = None,
        durable: bool = True,
        inherit: bool = True,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.home = home.resolve()
        self.id = hashlib.sha256(str(self.home).encode()).hexdigest()[:16]
        self._free_ports = ports == "free"
        self._given = {**(os.environ if inherit else {}), **(env or {})}
        self._kinds = tuple(processes if processes is not None else plan.KINDS)
        self._instances = dict(instances or {})
        self._say = say
        logs = self.home / "logs"
        mark = f"{self.id}/"
        where = self.home / "postgres"
        self.postgres = Postgres(where, None, logs / "postgres.log", f"{mark}postgres", durable)
        self.redis = Redis(self.home / "redis", None, logs / "redis.log", f"{mark}redis")
        self.members: dict[str, Member] = {}
        self.values: dict[str, str] = {}
        """All settings of the running stack, as in its `stack.env`."""

    def up(self) -> None:
        """Starts what is missing and waits until all is healthy. StackError says why it cannot."""
        homes.make(self.home)
        with homes.locked(self.home, self._say):
            configuration = self._plan()
            specs = [each.spec for each in self.members.values()]
            checks.before_start(configuration, specs, cleanup.listening_ports(self.id))
            configuration.keep()
            ran_before = cleanup.is_marked(self.id)
            try:
                self._start(configuration)
            except Exception:
                if not ran_before:
                    self._stop()
                raise

    def down(self) -> None:
        """Stops everything and leaves no process, also none of a start or stop that was cut short."""
        if not self.home.is_dir():
            cleanup.kill_marked(self.id)
            return
        with homes.locked(self.home, self._say):
            self._stop()

    def reset(self) -> None:
        """`down`, then removes the data, the secrets and the logs."""
        self.down()
        self.redis.destroy()
        self.postgres.destroy()
        homes.remove(self.home)

    def process(self, name: str) -> "Member | Postgres | Redis":
        """A part by its name: `postgres`, `redis`, `gateway-1`, `user-2`, `beat`, ..."""
        if name in ("postgres", "redis"):
            return self.postgres if name == "postgres" else self.redis
        return self._attached().members[name]

    def url(self, name: str = "gateway-1") -> str:
        """Address of a process that has one."""
        return self._attached().members[name].spec.url

    def environ(self) -> dict[str, str]:
        """The environment for commands against this stack (`flask migration ...`): the shell's with all
        settings.
        """
        return environment.of_command(self._attached().values, self._given)

    def ailments(self) -> dict[str, str]:
        """For each process what is wrong with it, empty when nothing is."""
        return watch.ailments(list(self._attached().members.values()), self.values)

    def _start(self, configuration: Configuration) -> None:
        if configuration.uses_sample:
            sample.make(configuration.sample)
        self._start_servers(configuration)
        self._complete(configuration)
        self._upgrade_schemas()
        self._start_members()

    def _stop(self) -> None:
        cleanup.stop_members(self.home, self.id)
        self.redis.stop()
        self.postgres.stop()
        cleanup.kill_marked(self.id)

    def _plan(self) -> Configuration:
        configuration = Configuration(self.home, self._given, self._free_ports)
        ours = cleanup.listening_ports(self.id)

        def port(what: str, number: int) -> int:
            return configuration.port(what, number, ours)

        values = configuration.values
        own = "127.0.0.1"
        hosts = values.get("GATEWAY_HOST", own), values.get("SERVICE_HOST", own)
        layout = plan.Layout(self.home, port, *hosts)
        specs = plan.specs(self._kinds, self._instances, layout)
        self.members = {spec.name: Member(spec, self.home, self.id) for spec in specs}
        self.values = values
        return configuration

    def _start_servers(self, configuration: Configuration) -> None:
        """PostgreSQL and Redis, each unless its address was given; both at once."""
        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(self._start_postgres, configuration.local_databases)]
            jobs += [pool.submit(self._start_redis)] if configuration.local_redis else []
            for job in jobs:
                job.result()

    def _start_postgres(self, databases: list[str]) -> None:
        if not databases:
            return
        self.postgres.start()
        for database in databases:
            self.postgres.create_role(ROLES[database])
            self.postgres.create_database(database, ROLES[database])
        self._say(f"  PostgreSQL   127.0.0.1:{self.postgres.port}")

    def _start_redis(self) -> None:
        self.redis.start()
        self._say(f"  Redis        127.0.0.1:{self.redis.port}")

    def _complete(self, configuration: Configuration) -> None:
        """Completes the settings by the addresses of what runs now; leaves them in `stack.env` for `flask`."""
        for name in configuration.local_databases:
            self.values[DATABASE_VARIABLES[name]] = self.postgres.url(name)
        if configuration.local_redis:
            self.values["REDIS_URL"] = self.redis.url
        self.values |= environment.addresses(each.spec for each in self.members.values())
        heading = "Made by `make up` at each start. Holds secrets."
        stack_env.write(self.home / "stack.env", self.values, heading)
        self._hand_out()

    def _hand_out(self) -> None:
        for member in self.members.values():
            member.environ = environment.of_process(member.spec, self.values, self._given)

    def _upgrade_schemas(self) -> None:
        environ = self.environ()
        with ThreadPoolExecutor(len(schema.OWNERS)) as pool:
            for done in [pool.submit(schema.upgrade, name, environ) for name in schema.OWNERS]:
                done.result()

    def _start_members(self) -> None:
        cleanup.stop_strangers(self.home, self.id, {"postgres", "redis", *self.members})
        missing = [member for member in self.members.values() if not member.current]
        try:
            for member in missing:
                member.start()
            watch.until_healthy(list(self.members.values()), self.values, self._say)
        except Exception:
            for member in missing:
                member.stop(grace=3)
            raise

    def _attached(self) -> "Stack":
        """With the members of the stack that runs in `home`, also when another process has started it."""
        if not self.members:
            self._plan()
            self.values |= stack_env.read(self.home / "stack.env")
            self._hand_out()
        return self

    def __enter__(self) -> "Stack":
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
