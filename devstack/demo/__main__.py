"""`python -m devstack.demo`: start everything, migrate under live traffic, hold the result to a ledger."""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from devstack import sample
from devstack.demo import check
from devstack.demo.direct_writer import DirectWriter
from devstack.demo.ledger import Ledger
from devstack.demo.report import Result, print_table
from devstack.demo.traffic import Client, Measures
from devstack.errors import StackError
from devstack.schema import PROJECT
from devstack.stack import Stack

CLIENTS = 4
PACE_SECONDS = 0.08
SWITCH_TRIES, RETRY_SECONDS = 5, 3.0
LIMITS = {"RATE_LIMIT_DEFAULT": "100000 per minute", "RATE_LIMIT_CREDENTIALS": "100000 per minute"}


class Demonstration:
    """One run on a sample of `users` rows in `home`; `result` says what came of it."""

    def __init__(self, home: Path, users: int) -> None:
        self.file = home / "users.db"
        sample.make(self.file, users)
        self.before = check.file_rows(self.file)
        self.ledger = Ledger()
        self.measures = Measures()
        self.result = Result(users=users)
        environ = {"LEGACY_SQLITE_PATH": str(self.file), **LIMITS}
        self.stack = Stack(home / "stack", ports="free", env=environ, say=_say)
        self.clients: list[Client] = []
        some_hash = next(iter(self.before.values()))[2]
        self.writer = DirectWriter(self.file, self.ledger, some_hash, first=1, count=40, pace=0.05)

    def run(self) -> None:
        """The whole job. Broken promises are collected in `result`."""
        began = time.monotonic()
        with self.stack:
            self._start_traffic()
            try:
                self._migrate()
            finally:
                self._stop_traffic()
            self._hold_to_ledger("PostgreSQL after finish", check.database_rows(self.stack.environ()))
        self.result.seconds = time.monotonic() - began
        self.result.take(self.measures, self.ledger, self.writer)

    def _migrate(self) -> None:
        self._command("doctor")
        self._command("dual-write")
        started = time.monotonic()
        self._command("copy")
        self.result.copy_seconds = time.monotonic() - started
        self._command("verify")
        self._command("cutover", SWITCH_TRIES)
        self._expect_refusals()
        self._command("rollback", SWITCH_TRIES)
        self._check_file_at_rest()
        self._command("cutover", SWITCH_TRIES)
        self._command("finish")
        self._command("status")

    def _command(self, name: str, tries: int = 1) -> None:
        """One command as an operator types it, its output passed on; a failure ends the demonstration.

        A switch is refused while it would make clients wait too long; an operator tries again a little later.
        """
        for attempt in range(tries):
            if attempt:
                time.sleep(RETRY_SECONDS)
            _say(f"\n$ flask migration {name}")
            command = [sys.executable, "-m", "flask", "migration", name]
            done = subprocess.run(command, cwd=PROJECT, env=self.stack.environ(), check=False)
            if not done.returncode:
                return
        raise StackError(f"flask migration {name} ended with exit code {done.returncode}")

    def _expect_refusals(self) -> None:
        """The old program must meet the fence within its next writes."""
        deadline = time.monotonic() + 10
        while not self.writer.refused:
            if time.monotonic() > deadline:
                self.result.broken.append("the file did not refuse the direct writer after the cutover")
                return
            time.sleep(0.05)
        _say("  (the direct writer is refused by the file now)")

    def _check_file_at_rest(self) -> None:
        """After a rollback every acknowledged write is in the file: look while everybody holds still."""
        for client in self.clients:
            client.pause()
        if not all(client.wait_idle(20) for client in self.clients):
            self.result.broken.append("a client did not come to rest within 20 s")
        with self.writer.at_rest():
            self._hold_to_ledger("the file after the rollback", check.file_rows(self.file))
        for client in self.clients:
            client.resume()

    def _hold_to_ledger(self, where: str, found: check.Rows) -> None:
        lines = check.differences(found, self.before, self.ledger)
        self.result.lost += len(lines)
        self.result.broken += [f"{where}: {line}" for line in lines]
        self.result.moved = len(found)
        _say(f"  ({where}: {len(found)} users, {len(lines)} differences to what was acknowledged)")

    def _start_traffic(self) -> None:
        host, _, port = self.stack.url("gateway-1").removeprefix("http://").partition(":")
        self.clients = [
            Client(number, (host, int(port)), self.ledger, self.measures, PACE_SECONDS)
            for number in range(CLIENTS)
        ]
        for thread in (*self.clients, self.writer):
            thread.start()
        _say(f"\n{CLIENTS} clients work through the gateway; another program writes straight to the file.")

    def _stop_traffic(self) -> None:
        for client in self.clients:
            client.stop()
        self.writer.stop()
        for thread in (*self.clients, self.writer):
            thread.join(30)


def main() -> int:
    """Exit code: 0 every promise held, 1 one was broken (the table says which)."""
    parser = argparse.ArgumentParser(
        prog="devstack.demo", description="The whole migration under live traffic."
    )
    parser.add_argument("--users", type=int, default=50_000, help="rows of the sample file (default: 50000)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        home = Path(folder)
        home.chmod(0o711)
        demonstration = Demonstration(home, options.users)
        _say(f"Sample file: {options.users} users in {demonstration.file}")
        try:
            demonstration.run()
        except StackError as error:
            demonstration.result.broken.append(str(error))
            demonstration.result.take(demonstration.measures, demonstration.ledger, demonstration.writer)
        except KeyboardInterrupt:
            demonstration.result.broken.append("interrupted")
    print_table(demonstration.result)
    return 1 if demonstration.result.broken else 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
