"""Asks every instance, again and again, whether it can work: takes dead ones out and brings them back."""

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gateway_app.upstream.balancer import Service
from gateway_app.upstream.errors import UpstreamError
from gateway_app.upstream.instance import Instance
from gateway_app.upstream.wire import Response

READY_PATH = "/readyz"
CHECK_SECONDS = 1.0
RECHECK_SECONDS = 0.25
"""The pause between questions while an instance is well, and while it is not."""
ANSWER_SECONDS = 2.0
SILENCES_TO_LEAVE = 2
"""Questions in a row without an answer until an instance counts as gone; one may be the machine's, not its."""

OK, UNAVAILABLE, DOWN = "ok", "unavailable", "down"
STATES = (OK, UNAVAILABLE, DOWN)
"""Names of `Instance.rank`; the first two are also what services call the states of their dependencies."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """What an instance said of itself (one of `STATES`), and its dependencies' states by name."""

    status: str
    dependencies: dict[str, str] = field(default_factory=dict)


class HealthChecks:
    """One task for each instance, from `start` to `stop`. What they found may be read from any thread."""

    def __init__(self, services: Iterable[Service], api_key: str) -> None:
        self._services = tuple(services)
        self._fields = f"X-API-Key: {api_key}\r\nAccept: application/json\r\nConnection: close\r\n"
        self._found: dict[Instance, Health] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Starts asking."""
        loop = asyncio.get_running_loop()
        for service in self._services:
            self._tasks += [
                loop.create_task(self._watch(service, instance)) for instance in service.instances
            ]

    def stop(self) -> None:
        """Stops asking."""
        for task in self._tasks:
            task.cancel()

    def overview(self) -> tuple[dict[str, Any], dict[str, str]]:
        """(services, dependencies): each service's status and those of its instances, each dependency's by its
        name; a dependency is as well as whoever finds it worst.
        """
        services: dict[str, Any] = {}
        dependencies: dict[str, str] = {}
        for service in self._services:
            found = [self._found.get(instance, Health(DOWN)) for instance in service.instances]
            best = min((STATES.index(health.status) for health in found), default=STATES.index(DOWN))
            names = (f"{service.name}-{number}" for number in range(1, len(found) + 1))
            services[service.name] = {
                "status": STATES[best],
                "instances": {name: health.status for name, health in zip(names, found, strict=True)},
            }
            for health in found:
                for name, state in health.dependencies.items():
                    if dependencies.get(name, OK) == OK:
                        dependencies[name] = state
        return services, dependencies

    async def _watch(self, service: Service, instance: Instance) -> None:
        silences = 0
        while True:
            before = instance.rank
            try:
                health = _read(await self._ask(instance))
            except UpstreamError as error:
                silences += 1
                if error.refused or silences >= SILENCES_TO_LEAVE:
                    instance.reachable = False
                    instance.drop_idle()
                    self._found[instance] = Health(DOWN)
            else:
                silences = 0
                instance.ready, instance.reachable = health.status == OK, True
                self._found[instance] = health
                if instance.ready:
                    instance.breaker.retry_now()
            if instance.rank != before:
                log.warning(
                    "instance health changed",
                    extra={"upstream": f"{service.name} {instance.name}", "health": STATES[instance.rank]},
                )
            await asyncio.sleep(CHECK_SECONDS if instance.rank == 0 else RECHECK_SECONDS)

    async def _ask(self, instance: Instance) -> Response:
        connection = await instance.connect()
        head = f"GET {READY_PATH} HTTP/1.1\r\nHost: {instance.name}\r\n{self._fields}\r\n".encode()
        try:
            return await connection.exchange("GET", head, ANSWER_SECONDS)
        finally:
            connection.close()


def _read(response: Response) -> Health:
    """Services list their dependencies as `{"dependencies": {name: {"status": ...}}}`."""
    try:
        said = json.loads(response.body)
    except (ValueError, RecursionError):
        said = None
    listed = said.get("dependencies") if isinstance(said, dict) else None
    dependencies = {
        str(name): str(state.get("status"))
        for name, state in (listed.items() if isinstance(listed, dict) else ())
        if isinstance(state, dict)
    }
    return Health(OK if response.status < 400 else UNAVAILABLE, dependencies)
