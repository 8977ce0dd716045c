"""Which processes make up the stack: how each is started, what it may know, and how it shows that it is
healthy.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HTTP_KINDS = ("gateway", "user", "auth")
KINDS = (*HTTP_KINDS, "user-events", "auth-events", "worker", "beat", "flower")


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


def specs(
    kinds: Iterable[str], instances: Mapping[str, int], port: Callable[[str, int], int], home: Path
) -> list[Spec]:
    """The processes of `kinds`; `port(what, instance)` gives each its port, instance 1 the well-known one."""
    wanted = set(kinds)
    makers = {
        "gateway": _gateway,
        "user": _service,
        "auth": _service,
        "user-events": _events,
        "auth-events": _events,
        "worker": _worker,
        "beat": _beat,
        "flower": _flower,
    }
    return [
        makers[kind](kind, number, port, home)
        for kind in KINDS
        if kind in wanted
        for number in range(1, instances.get(kind, 1) + 1)
    ]


_Ports = Callable[[str, int], int]


def _python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *arguments)


def _gateway(kind: str, number: int, port: _Ports, _home: Path) -> Spec:
    ports = {"GATEWAY_PORT": port("gateway", number), "GATEWAY_METRICS_PORT": port("gateway_metrics", number)}
    url = f"http://127.0.0.1:{ports['GATEWAY_PORT']}"
    return Spec(f"{kind}-{number}", kind, kind, _python("gateway_app"), ports, f"{url}/api/health", url)


def _service(kind: str, number: int, port: _Ports, _home: Path) -> Spec:
    ports = {f"{kind.upper()}_PORT": port(kind, number)}
    url = f"http://127.0.0.1:{port(kind, number)}"
    return Spec(f"{kind}-{number}", kind, kind, _python(f"{kind}_app"), ports, f"{url}/readyz", url)


def _events(kind: str, number: int, _port: _Ports, _home: Path) -> Spec:
    owner = kind.partition("-")[0]
    name = kind if number == 1 else f"{kind}-{number}"
    return Spec(name, kind, owner, _python(f"{owner}_app.events"))


def _celery(*arguments: str) -> tuple[str, ...]:
    return _python("celery", "--app", "celery_worker.app", *arguments)


def _worker(kind: str, number: int, _port: _Ports, _home: Path) -> Spec:
    name = f"{kind}-{number}"
    command = _celery("worker", "--task-events", "--concurrency", "2", "--hostname", f"{name}@localhost")
    return Spec(name, kind, "worker", command)


def _beat(kind: str, _number: int, _port: _Ports, home: Path) -> Spec:
    return Spec(kind, kind, "worker", _celery("beat", "--schedule", str(home / "beat-schedule")))


def _flower(kind: str, number: int, port: _Ports, _home: Path) -> Spec:
    number = port("flower", number)
    url = f"http://127.0.0.1:{number}"
    command = _celery("flower", "--address=127.0.0.1", f"--port={number}")
    return Spec(kind, kind, "worker", command, {"FLOWER_PORT": number}, f"{url}/healthcheck", url)
