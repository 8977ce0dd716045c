"""Asks every instance, again and again, whether it can work: takes dead ones out and brings them back."""

import json
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gateway_app.upstream.balancer import Service
from gateway_app.upstream.connection import Connection
from gateway_app.upstream.errors import UpstreamError
from gateway_app.upstream.instance import Instance
from gateway_app.upstream.wire import Response

READY_PATH = "/readyz"
CHECK_SECONDS = 1.0
RECHECK_SECONDS = 0.25
"""The pause between questions while an instance is well, and while it is not."""
ANSWER_SECONDS = 2.0
TIMEOUTS_TO_LEAVE = 2
"""Questions in a row without an answer until an instance counts as gone; one may be the machine's, not its."""

OK, UNAVAILABLE, DOWN = "ok", "unavailable", "down"
STATES = (OK, UNAVAILABLE, DOWN)
"""Names of `Instance.rank`; the first two are also what services call the states of their dependencies."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """What an instance said of itself (one of `STATES`), and its dependencies' states by name."""

    status: str
    dependencies: dict[str, Any] = field(default_factory=dict)


class HealthChecks:
    """One thread for each instance, from `start` to `stop`."""

    def __init__(self, services: Iterable[Service], api_key: str) -> None:
        self._targets = [(service, instance) for service in services for instance in service.instances]
        self._fields = f"X-API-Key: {api_key}\r\nAccept: application/json\r\nConnection: close\r\n"
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Starts asking."""
        for target in self._targets:
            thread = threading.Thread(target=self._watch, args=target, name="health", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stops asking."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(timeout=0.1)

    def ask(self, instance: Instance) -> Health:
        """Asks one instance now."""
        try:
            return _read(self._question(instance))
        except UpstreamError:
            return Health(DOWN)

    def _question(self, instance: Instance) -> Response:
        connection = Connection(instance.host, instance.port)
        head = f"GET {READY_PATH} HTTP/1.1\r\nHost: {instance.name}\r\n{self._fields}\r\n".encode()
        try:
            return connection.exchange("GET", head, b"", ANSWER_SECONDS)
        finally:
            connection.close()

    def _watch(self, service: Service, instance: Instance) -> None:
        silent = 0
        while not self._stopped.is_set():
            before = instance.rank
            try:
                health = _read(self._question(instance))
            except UpstreamError as error:
                silent += 1
                if error.refused or silent >= TIMEOUTS_TO_LEAVE:
                    instance.reachable = False
                    instance.drop_idle()
            else:
                silent = 0
                instance.ready = health.status == OK
                instance.reachable = True
                if instance.ready:
                    instance.breaker.retry_now()
            if instance.rank != before:
                log.warning(
                    "instance health changed",
                    extra={"upstream": f"{service.name} {instance.name}", "health": STATES[instance.rank]},
                )
            self._stopped.wait(CHECK_SECONDS if instance.rank == 0 else RECHECK_SECONDS)


class Overview:
    """The state of every service for `GET /api/health?details=1`, asked at most once a second."""

    def __init__(self, services: Iterable[Service], checks: HealthChecks) -> None:
        self._services = tuple(services)
        self._checks = checks
        self._lock = threading.Lock()
        self._made_at = 0.0
        self._known: tuple[dict[str, Any], dict[str, Any]] = ({}, {})

    def get(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """(services, dependencies): each service's status and instances, each dependency's status by its name."""
        with self._lock:
            if time.monotonic() - self._made_at > CHECK_SECONDS or not self._known[0]:
                self._known = self._ask_all()
                self._made_at = time.monotonic()
            return self._known

    def _ask_all(self) -> tuple[dict[str, Any], dict[str, Any]]:
        found: dict[Instance, Health] = {}
        threads = [
            threading.Thread(target=lambda i=instance: found.__setitem__(i, self._checks.ask(i)), daemon=True)
            for service in self._services
            for instance in service.instances
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(ANSWER_SECONDS + 1.5)
        services: dict[str, Any] = {}
        dependencies: dict[str, Any] = {}
        for service in self._services:
            instances = {i.name: found.get(i, Health(DOWN)) for i in service.instances}
            statuses = [health.status for health in instances.values()]
            services[service.name] = {
                "status": next((state for state in STATES if state in statuses), DOWN),
                "instances": {name: health.status for name, health in instances.items()},
            }
            for health in instances.values():
                for name, state in health.dependencies.items():
                    if dependencies.get(name, OK) == OK:
                        dependencies[name] = state
        return services, dependencies


def _read(response: Response) -> Health:
    """Services list their dependencies as `{"dependencies": {name: {"status": ...} or text}}`."""
    try:
        said = json.loads(response.body)
    except (ValueError, RecursionError):
        said = {}
    listed = said.get("dependencies") if isinstance(said, dict) else None
    dependencies = {
        str(name): str(state.get("status") if isinstance(state, dict) else state)
        for name, state in (listed.items() if isinstance(listed, dict) else ())
    }
    return Health(OK if response.status < 400 else UNAVAILABLE, dependencies)
