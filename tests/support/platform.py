"""Gateway, user service and auth service as real processes on given servers."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from devstack.ports import free_port
from tests.support.environment import service_environment
from tests.support.service import ServiceProcess

_PORTS = ("gateway_port", "gateway_metrics_port", "user_port", "auth_port")


@contextmanager
def platform(folder: Path, *, events: bool = False, **values: object) -> Iterator[dict[str, ServiceProcess]]:
    """The processes by name ("gateway", "user", "auth"), ready, on free ports; stopped behind the block.

    `values` are settings in lower case: the two service databases, `redis_url`, `legacy_sqlite_path`. With
    `events` the two services' event processes run too ("user events", "auth events").
    """
    ports = {name: free_port() for name in _PORTS}
    urls = {
        "user_service_urls": f"http://127.0.0.1:{ports['user_port']}",
        "auth_service_urls": f"http://127.0.0.1:{ports['auth_port']}",
    }
    environ = service_environment({**ports, **urls, **values})
    with ExitStack() as running:
        started: dict[str, ServiceProcess] = {}
        # The services ask each other only when they are asked themselves; the gateway is ready when they are.
        for name in ("auth", "user", "gateway"):
            service = ServiceProcess(f"{name}_app", environ, ports[f"{name}_port"], folder, name=name)
            started[name] = running.enter_context(service)
        for name in ("auth", "user") if events else ():
            worker = ServiceProcess(f"{name}_app.events", environ, 1, folder, name=f"{name} events")
            running.callback(worker.stop)
            started[worker.name] = worker.start(path="")
        yield started
