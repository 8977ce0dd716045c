"""Our gateway beside Express with http-proxy-middleware: the same policies, one core each, in turn.

    python -m benchmarks.gateway [--rounds 5] [--seconds 5] [--connections 32] [--peer FOLDER] [--json]

The peer's source is a folder with `gateway.mjs`, `package.json` and `upstream_nginx.conf` (EXPRESS_GATEWAY, or
`../shared/bench/express_gateway`); it is copied and installed with npm when its packages are not there. Also needed:
wrk and nginx (Debian: `apt-get install wrk nginx-light`), npm. A gateway has core 0 for itself; wrk, Redis and an
nginx that stands in for the service have core 1. Both check a token and a revocation, count in Redis, set helmet's
fields, handle cross-origin requests and log each request; nothing is switched off.

The result is the ratio of the medians. On a machine with other work, compare the CPU time per request instead: it
does not depend on how much of the core was left. Exit code 1 when the ratio is below 1.0.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from benchmarks.gateway_stage import (
    DEFAULT_PEER,
    OTHER_CORE,
    SECRET,
    Contender,
    Missing,
    contenders,
    find_tools,
    tool,
    wait,
)
from service_kit.tokens import TokenKeys

TARGET, AIM = 1.0, 2.0


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--peer", type=Path, default=Path(os.environ.get("EXPRESS_GATEWAY", DEFAULT_PEER)))
    parser.add_argument("--json", action="store_true", help="print one object instead of a table")
    given = parser.parse_args()
    try:
        tools = find_tools(given.peer)
        with contenders(*tools) as (ours, peer), tempfile.TemporaryDirectory() as folder:
            token = TokenKeys([SECRET]).sign(7, "ann@example.com", 86400).text
            for contender in (ours, peer):
                check(contender, token)
            for _ in range(given.rounds):
                for contender in (ours, peer):
                    measure(contender, token, given.seconds, given.connections, Path(folder))
    except Missing as missing:
        print(f"gateway: not measured. {missing}", file=sys.stderr)
        return 1
    return report(ours, peer, as_json=given.json)


def check(contender: Contender, token: str) -> None:
    """It lets this token through, refuses a broken one, and answers with helmet's fields."""

    def ask(text: str) -> tuple[int, object]:
        request = urllib.request.Request(contender.url, headers={"Authorization": f"Bearer {text}"})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.headers["X-Content-Type-Options"]
        except urllib.error.HTTPError as error:
            return error.code, error.headers["X-Content-Type-Options"]

    wait(lambda: ask(token))
    for text, status in ((token, 200), (f"{token}x", 403)):
        if ask(text) != (status, "nosniff"):
            raise Missing(f"{contender.name} answers {ask(text)} instead of {status} with helmet's fields.")


def measure(contender: Contender, token: str, seconds: int, connections: int, folder: Path) -> None:
    """One round."""
    before = contender.process.cpu_times()
    authorization = f"Authorization: Bearer {token}"
    load = [tool("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", authorization]
    done = subprocess.run(
        ["taskset", "-c", str(OTHER_CORE), *load, contender.url],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    after = contender.process.cpu_times()
    if "Non-2xx" in done or "Socket errors" in done:
        raise Missing(f"{contender.name} failed requests:\n{done}")
    count = int(re.search(r"(\d+) requests in", done)[1])  # type: ignore[index]
    contender.rate.append(float(re.search(r"Requests/sec:\s+([\d.]+)", done)[1]))  # type: ignore[index]
    contender.cpu.append((after.user + after.system - before.user - before.system) / count * 1e6)
    for name, into in (("50%", contender.p50), ("99%", contender.p99)):
        value, unit = re.search(rf"{name}\s+([\d.]+)(us|ms|s)\n", done).groups()  # type: ignore[union-attr]
        into.append(float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit])


def report(ours: Contender, peer: Contender, *, as_json: bool) -> int:
    """Prints the result; the exit code."""
    median = statistics.median
    ratio = median(ours.rate) / median(peer.rate)
    cpu_ratio = median(peer.cpu) / median(ours.cpu)
    if as_json:
        shown = ("rate", "cpu", "p50", "p99")
        both = {c.name: {name: vars(c)[name] for name in shown} for c in (ours, peer)}
        print(
            json.dumps({"ratio": ratio, "cpu_ratio": cpu_ratio, "target": TARGET, "aim": AIM, "rounds": both})
        )
    else:
        print(
            f"{'medians':34}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'CPU us/request':>16}   requests/s by round"
        )
        for one in (ours, peer):
            rounds = " ".join(f"{rate:.0f}" for rate in one.rate)
            print(
                f"{one.name:34}{median(one.rate):>12.0f}{median(one.p50):>10.2f}{median(one.p99):>10.2f}"
                f"{median(one.cpu):>16.0f}   {rounds}"
            )
        print(
            f"ratio of the medians: {ratio:.2f} (at least {TARGET}, aim {AIM}); by CPU time: {cpu_ratio:.2f}"
        )
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
