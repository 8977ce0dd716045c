"""Which processes make up the stack: how each is started, what it may know, and how it shows that it is
healthy.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

DETAILS = "/api/health?details=1"
"""Says 200 always, and in its body how the gateway finds the services: a process that answers is not enough."""

KINDS = ("gateway", "user", "auth", "user-events", "auth-events", "worker", "beat", "flower")


@dataclass(frozen=True)
class Spec:
    """One process. `ports` maps variables (GATEWAY_PORT, ...) to numbers; `role` names the settings that it
    gets.
    """

    name: str
    kind: str
    role: str
    command: tuple[str, ...]
    ports: Mapping[str, int] = field(default_factory=dict)
    health: str = ""
    """Address that answers 200 when it is healthy; empty: the process is asked in another way."""
    url: str = ""


@dataclass(frozen=True)
class Layout:
    """Where a stack has things: `port(what, instance)` gives each process its port, `hosts` are what they bind."""

    home: Path
    port: Callable[[str, int], int]
    gateway_host: str = "127.0.0.1"
    service_host: str = "127.0.0.1"
    behind_gateway: bool = True
    """Whether there are services for the gateway to find healthy."""


def specs(kinds: Iterable[str], instances: Mapping[str, int], layout: Layout) -> list[Spec]:
    """The processes of `kinds`, as many of each as `instances` says, else one."""
    wanted = set(kinds)
    return [
        _MAKERS[kind](kind, number, replace(layout, behind_gateway=wanted >= {"user", "auth"}))
        for kind in KINDS
        if kind in wanted
        for number in range(1, instances.get(kind, 1) + 1)
    ]


def _python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *arguments)


def _celery(*arguments: str) -> tuple[str, ...]:
    return _python("celery", "--app", "celery_worker.app", *arguments)


def _address(host: str, port: int) -> str:
    """Where to reach a server that binds `host`: one that binds every address is asked on this machine's own."""
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound here
    return f"http://[{own}]:{port}" if ":" in own else f"http://{own}:{port}"


def _gateway(kind: str, number: int, layout: Layout) -> Spec:
    port = layout.port("gateway", number)
    ports = {"GATEWAY_PORT": port, "GATEWAY_METRICS_PORT": layout.port("gateway_metrics", number)}
    url = _address(layout.gateway_host, port)
    health = f"{url}{DETAILS}" if layout.behind_gateway else f"{url}/readyz"
    return Spec(f"{kind}-{number}", kind, kind, _python("gateway_app"), ports, health, url)


def _service(kind: str, number: int, layout: Layout) -> Spec:
    port = layout.port(kind, number)
    url = _address(layout.service_host, port)
    command = _python(f"{kind}_app")
    return Spec(f"{kind}-{number}", kind, kind, command, {f"{kind.upper()}_PORT": port}, f"{url}/readyz", url)


def _events(kind: str, number: int, _layout: Layout) -> Spec:
    owner = kind.partition("-")[0]
    name = kind if number == 1 else f"{kind}-{number}"
    return Spec(name, kind, owner, _python(f"{owner}_app.events"))


def _worker(kind: str, number: int, _layout: Layout) -> Spec:
    name = f"{kind}-{number}"
    command = _celery("worker", "--task-events", "--concurrency", "2", "--hostname", f"{name}@localhost")
    return Spec(name, kind, "worker", command)


def _beat(kind: str, _number: int, layout: Layout) -> Spec:
    return Spec(kind, kind, "worker", _celery("beat", "--schedule", str(layout.home / "beat-schedule")))


def _flower(kind: str, number: int, layout: Layout) -> Spec:
    port = layout.port("flower", number)
    url = _address("127.0.0.1", port)
    command = _celery("flower", "--address=127.0.0.1", f"--port={port}")
    return Spec(kind, kind, "worker", command, {"FLOWER_PORT": port}, f"{url}/healthcheck", url)


_MAKERS: Mapping[str, Callable[[str, int, Layout], Spec]] = {
    "gateway": _gateway,
    "user": _service,
    "auth": _service,
    "user-events": _events,
    "auth-events": _events,
    "worker": _worker,
    "beat": _beat,
    "flower": _flower,
}
