"""`PUT /api/profile` while every write goes to file and PostgreSQL, beside the same request when PostgreSQL is alone.

    python -m benchmarks.dual_write [--rounds 5] [--requests 400] [--users 20000]

Two complete stacks with disk flushes on, one in phase `dual_write` on a sample file, one without a file (phase
`finished`), are asked in turn, one request at a time: noise meets both alike. Each round has a ratio of its two
medians; the median of those is what counts.
"""

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from devstack import sample
from devstack.schema import PROJECT
from devstack.stack import Stack

TARGET = 1.5
KINDS = ("gateway", "user", "auth", "worker", "beat", "user-events", "auth-events")
LIMITS = {"RATE_LIMIT_DEFAULT": "1000000 per minute", "RATE_LIMIT_CREDENTIALS": "1000000 per minute"}


class Client:
    """One user of one stack, on one connection."""

    def __init__(self, name: str, stack: Stack) -> None:
        self.times: list[float] = []
        self._connection = http.client.HTTPConnection(
            stack.url("gateway-1").removeprefix("http://"), timeout=20
        )
        account = {"email": f"{name}@example.com", "password": "sample-pass", "name": name}
        self._token = json.loads(self._send("POST", "/api/register", account))["token"]
        self._serial = 0

    def median_ms(self, newest: int) -> float:
        """Of the newest requests."""
        return statistics.median(self.times[-newest:]) * 1000

    def rename(self) -> None:
        """One measured request."""
        self._serial += 1
        began = time.perf_counter()
        self._send("PUT", "/api/profile", {"name": f"Name {self._serial}"})
        self.times.append(time.perf_counter() - began)

    def _send(self, method: str, path: str, body: dict[str, str]) -> bytes:
        headers = {"Content-Type": "application/json"}
        if path != "/api/register":
            headers["Authorization"] = f"Bearer {self._token}"
        self._connection.request(method, path, json.dumps(body), headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status not in (200, 201):
            raise SystemExit(f"{method} {path}: {response.status} {answer!r}")
        return answer


def main() -> int:
    """Exit code 1 when the ratio is over the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--users", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        home = Path(folder)
        home.chmod(0o711)
        sample.make(home / "users.db", options.users)
        both = {**LIMITS, "LEGACY_SQLITE_PATH": str(home / "users.db")}
        alone = {**LIMITS, "LEGACY_SQLITE_PATH": ""}
        with (
            Stack(home / "both", "free", both, KINDS) as dual,
            Stack(home / "alone", "free", alone, KINDS) as finished,
        ):
            command = [sys.executable, "-m", "flask", "migration", "dual-write"]
            subprocess.run(command, cwd=PROJECT, env=dual.environ(), check=True, stdout=subprocess.DEVNULL)
            clients = Client("dual", dual), Client("alone", finished)
            print(
                f"PUT /api/profile, medians of {options.requests}, in turn, one at a time, disk flushes on:"
            )
            ratios = [_round(*clients, options.requests) for _ in range(options.rounds)]
    ratio = statistics.median(ratios)
    print(f"median of the ratios {ratio:.2f} (at most {TARGET})")
    return 0 if ratio <= TARGET else 1


def _round(dual: Client, finished: Client, requests: int) -> float:
    """How many times longer a dual write took."""
    for _ in range(requests):
        dual.rename()
        finished.rename()
    both, alone = dual.median_ms(requests), finished.median_ms(requests)
    print(f"  dual_write {both:6.2f} ms, finished {alone:6.2f} ms: ratio {both / alone:.2f}", flush=True)
    return both / alone


if __name__ == "__main__":
    sys.exit(main())
