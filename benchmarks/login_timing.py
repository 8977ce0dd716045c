"""Does a login take as long for an unknown user as for a wrong password? Medians have to be within 5 ms.

    python -m benchmarks.login_timing [--each 300] [--side file|database] [--url http://localhost:5000]

Starts a stack of its own on each side of the migration (real bcrypt cost), or asks the gateway at `--url`, where it
registers a user. The two kinds of login take turns, in a random order within each pair. Exit code 1 when a limit is
broken.
"""

import argparse
import http.client
import json
import math
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from devstack.stack import Stack

LIMIT_SECONDS = 0.005
WARM_UP = 20
ENVIRONMENT = {
    "BCRYPT_COST": "10",
    "RATE_LIMIT_DEFAULT": "1000000 per minute",
    "RATE_LIMIT_CREDENTIALS": "1000000 per minute",
}


def main() -> int:
    """Run on one side or both and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--each", type=int, default=300, help="logins of each kind")
    parser.add_argument("--side", choices=("file", "database"), help="only this side")
    parser.add_argument("--url", help="a gateway that runs already")
    given = parser.parse_args()
    if given.url:
        return 0 if measure("given", given.url, given.each) else 1
    good = True
    for side in [given.side] if given.side else ["file", "database"]:
        with stack(side) as url:
            good &= measure(side, url, given.each)
    return 0 if good else 1


@contextmanager
def stack(side: str) -> Iterator[str]:
    """A gateway and its services, with the users in a sample legacy file or in PostgreSQL."""
    environ = ENVIRONMENT | ({"LEGACY_SQLITE_PATH": ""} if side == "database" else {})
    with tempfile.TemporaryDirectory(prefix="login-timing-") as folder:
        Path(folder).chmod(0o711)
        running = Stack(Path(folder) / "stack", "free", environ, ("gateway", "user", "auth"), inherit=False)
        try:
            running.up()
            yield running.url("gateway-1")
        finally:
            running.reset()


def measure(side: str, url: str, each: int) -> bool:
    """Print medians and spread; whether the medians are close enough."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    word = secrets.token_hex(6)
    known, unknown = (f"{name}-{word}@example.com" for name in ("known", "unknown"))
    post(connection, "/api/register", 201, {"email": known, "password": "sample-password"})
    seconds: dict[str, list[float]] = {known: [], unknown: []}
    for turn in range(WARM_UP + each):
        for email in random.sample([known, unknown], 2):
            begun = time.perf_counter()
            post(connection, "/api/login", 401, {"email": email, "password": "another-password"})
            if turn >= WARM_UP:
                seconds[email].append(time.perf_counter() - begun)
    medians = {email: statistics.median(taken) for email, taken in seconds.items()}
    apart = abs(medians[known] - medians[unknown])
    error = math.hypot(*(uncertainty(taken) for taken in seconds.values()))
    print(
        f"{side}: {each} of each, wrong password {describe(seconds[known])}, unknown user "
        f"{describe(seconds[unknown])}, medians {apart * 1000:.2f} ms apart (limit {LIMIT_SECONDS * 1000:.0f} ms; "
        f"this machine's noise alone makes it up to {error * 1000:.1f} ms in 19 of 20 runs)"
    )
    return apart < LIMIT_SECONDS


def uncertainty(seconds: list[float]) -> float:
    """How far the median of so many values with this spread may be off by chance, 19 times out of 20."""
    low, _, high = statistics.quantiles(seconds, n=4)
    return 1.96 * 1.25 * (high - low) / 1.35 / math.sqrt(len(seconds))


def describe(seconds: list[float]) -> str:
    """Median and quartiles, in ms."""
    low, middle, high = (value * 1000 for value in statistics.quantiles(seconds, n=4))
    return f"median {middle:.1f} ms ({low:.1f} to {high:.1f})"


def post(connection: http.client.HTTPConnection, path: str, expected: int, body: dict[str, str]) -> None:
    """One request on the kept connection; ends the run when the status is another."""
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    if response.status != expected:
        sys.exit(f"{path} answered {response.status} instead of {expected}: {text[:200]!r}")


if __name__ == "__main__":
    sys.exit(main())
