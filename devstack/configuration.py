"""What a stack runs with: settings from the shell, secrets made once for its home, and what it remembers of
both.

`kept.json` holds what belongs to the data and must not change under it from one start to the next: secrets,
addresses of servers that the stack did not start, the legacy file. A variable in the shell overrides it, and
is then kept.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path

from devstack import store
from devstack.ports import free_port, is_free
from devstack.schema import OWNERS
from service_kit.parsing import file_path
from service_kit.settings import Settings, variables

DATABASE_VARIABLES = {
    "user_db": "USER_DATABASE_URL",
    "auth_db": "AUTH_DATABASE_URL",
    "migration_db": "MIGRATION_DATABASE_URL",
}
SERVER_VARIABLES = (*DATABASE_VARIABLES.values(), "REDIS_URL")
GENERATED = ("JWT_SECRET", "GATEWAY_API_KEYS", "USER_API_KEYS", "AUTH_API_KEYS")
LEGACY = "LEGACY_SQLITE_PATH"
KEPT = (*SERVER_VARIABLES, *GENERATED, "ALLOW_WEAK_JWT_SECRET", LEGACY)

DEVELOPMENT = {
    "RATE_LIMIT_DEFAULT": "6000 per minute",
    "RATE_LIMIT_CREDENTIALS": "600 per minute",
    "REDIS_TIMEOUT_MS": "200",
}
"""Wide enough that nobody who tries things out, or measures them, from one address runs into them; on a machine that
runs all the servers at once, Redis may have to wait for a processor longer than a request waits for it by default."""


class Configuration:
    """The settings of the stack in `home`, with placeholders for servers that it starts itself."""

    def __init__(self, home: Path, given: Mapping[str, str], free_ports: bool) -> None:
        self._file = home / "kept.json"
        self._ports_file = home / "ports.json"
        self._free_ports = free_ports
        known = variables()
        settings = {name: value.strip() for name, value in given.items() if name in known}
        kept = store.read(self._file)
        kept |= {name: settings[name] for name in KEPT if name in settings}
        if kept.get(LEGACY):  # a path from here must lead to the same file from anywhere
            kept[LEGACY] = file_path(kept[LEGACY])
        for name in (*SERVER_VARIABLES, *GENERATED):
            if not kept.get(name):
                kept.pop(name, None)  # set to nothing: forget it
        for name in GENERATED:
            kept.setdefault(name, secrets.token_hex(32))
        self.sample = home / "legacy" / "users.db"
        kept.setdefault(LEGACY, str(self.sample))
        self._kept = kept
        self._settings = DEVELOPMENT | {name: value for name, value in settings.items() if value} | kept
        self._ports: dict[str, int] = store.read(self._ports_file)

    @property
    def local_databases(self) -> list[str]:
        """Databases for which no address was given: the stack's own PostgreSQL has them."""
        return [name for name in OWNERS if DATABASE_VARIABLES[name] not in self._kept]

    @property
    def local_redis(self) -> bool:
        """Whether no Redis was given."""
        return "REDIS_URL" not in self._kept

    @property
    def uses_sample(self) -> bool:
        """Whether the legacy file is the sample."""
        return bool(self._kept[LEGACY] == str(self.sample))

    @property
    def values(self) -> dict[str, str]:
        """All settings that are known now, with placeholders for servers of the stack's own."""
        local = [DATABASE_VARIABLES[name] for name in self.local_databases]
        placeholders = dict.fromkeys(local, "postgresql://role@127.0.0.1:1/database")
        return placeholders | {"REDIS_URL": "redis://127.0.0.1:1/0"} | self._settings

    def port(self, what: str, instance: int, ours: frozenset[int]) -> int:
        """The port of an instance: the first has the one of the settings, the others keep a free one.

        `ours` are the ports that the stack itself holds now: those need not be free.
        """
        if instance == 1 and not self._free_ports:
            variable = f"{what.upper()}_PORT"
            text = self._settings.get(variable, "")
            return int(text) if text.isdigit() else int(getattr(Settings, variable.lower()))
        key = f"{what}-{instance}"
        known = self._ports.get(key)
        if known and (known in ours or is_free(known)):
            return known
        port = free_port()
        while port in self._ports.values():
            port = free_port()
        self._ports[key] = port
        return port

    def keep(self) -> None:
        """Writes down what has to be the same next time."""
        store.write(self._file, self._kept)
        store.write(self._ports_file, self._ports)
