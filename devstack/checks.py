"""Everything that can be known to be wrong before anything is started, in one message."""

from collections.abc import Iterable, Mapping

import psycopg2
from redis import Redis as RedisClient
from redis.exceptions import RedisError

from devstack.configuration import DATABASE_VARIABLES, LEGACY, Configuration
from devstack.errors import StackError
from devstack.plan import Spec
from devstack.ports import holder, is_free
from service_kit import settings


def before_start(configuration: Configuration, specs: Iterable[Spec], ours: frozenset[int]) -> None:
    """Raises one StackError that lists wrong settings, taken ports and servers that do not answer.

    `ours` are the ports that the stack itself holds now.
    """
    wanted = list(specs)
    values = configuration.values | ({LEGACY: ""} if configuration.uses_sample else {})  # made only later
    mistakes = [
        *_settings(values, {spec.role for spec in wanted} | {"worker"}),
        *_ports(wanted, ours),
        *_servers(configuration),
    ]
    if mistakes:
        raise StackError("\n".join(["Nothing was started:", *(f"  {mistake}" for mistake in mistakes)]))


def _settings(values: Mapping[str, str], roles: set[str]) -> tuple[str, ...]:
    try:
        settings.check(values, sorted(roles))
    except settings.SettingsError as error:
        return error.mistakes
    return ()


def _ports(specs: list[Spec], ours: frozenset[int]) -> Iterable[str]:
    users: dict[int, str] = {}
    for spec in specs:
        for variable, port in spec.ports.items():
            if port in users:
                yield f"{variable} is {port}, which is {users[port]} as well; they should differ"
            elif port not in ours and not is_free(port):
                yield f"Port {port} ({variable}) is taken by {holder(port)}; stop that, or set {variable}"
            users[port] = variable


def _servers(configuration: Configuration) -> Iterable[str]:
    """Asks the servers that the stack does not start itself."""
    for database, variable in DATABASE_VARIABLES.items():
        url = configuration.values[variable].replace("postgresql+psycopg2://", "postgresql://", 1)
        if database not in configuration.local_databases and url.startswith("postgres"):
            try:
                psycopg2.connect(url, connect_timeout=5).close()
            except psycopg2.Error as error:
                yield f"{variable} leads to no usable database: {' '.join(str(error).split())}"
    if not configuration.local_redis:
        try:
            with RedisClient.from_url(configuration.values["REDIS_URL"], socket_connect_timeout=5) as client:
                client.ping()
        except (RedisError, ValueError) as error:
            yield f"REDIS_URL leads to no usable server: {error}"
