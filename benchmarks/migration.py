"""The bulk copy and the verification of a large legacy file, beside pgloader on the same file and the same server.

    python benchmarks/migration.py [--users 1000000] [--rounds 3] [--without-pgloader] [--json FILE]

pgloader (Debian's package, stock settings) loads the one table as it is, unsplit, into a database of its own. The
toolkit copies the same file with capture on, every value checked, split into two databases with their indexes, by one
Celery worker of two processes; then it verifies every row of both sides. Wall time of the whole command in each case,
the start of Python or Lisp included. Memory is the peak resident size of a worker process.
"""

import argparse
import json
import random
import shutil
import sqlite3
import string
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import psutil
from celery import Celery

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from devstack import schema  # noqa: E402
from devstack.postgres import Postgres  # noqa: E402
from devstack.process import Daemon  # noqa: E402
from devstack.redis import Redis  # noqa: E402
from tests.support.environment import service_environment  # noqa: E402

ROLES = {"user_db": "user_service", "auth_db": "auth_service", "migration_db": "migration"}
VERIFY_SHARE = 0.5
MEMORY_MIB = 200


@dataclass
class Round:
    """Wall seconds of each command, and the largest worker process in MiB."""

    pgloader: float | None = None
    copy: float = 0.0
    verify: float = 0.0
    worker_mib: float = 0.0


def make_file(path: Path, users: int) -> None:
    """A legacy file of `users` different accounts, the same for the same number."""
    dice = random.Random(users)
    salt_signs = "./" + string.ascii_letters + string.digits
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(
            "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT UNIQUE NOT NULL,"
            " password TEXT NOT NULL, name TEXT, created_at DATETIME DEFAULT CURRENT_TIMESTAMP)"
        )

        def rows() -> Iterator[tuple[str, str, str, str]]:
            for number in range(users):
                word = "".join(dice.choices(string.ascii_lowercase, k=8))
                second = dice.randrange(10 * 365 * 86400)
                moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(1_420_070_400 + second))
                hashed = "$2b$10$" + "".join(dice.choices(salt_signs, k=53))
                yield f"{word}.{number}@example{number % 7}.com", hashed, f"{word.title()} Müller", moment

        connection.executemany(
            "INSERT INTO users (email, password, name, created_at) VALUES (?, ?, ?, ?)", rows()
        )
    connection.close()


@contextmanager
def servers(home: Path) -> Iterator[tuple[Postgres, Redis]]:
    """PostgreSQL as `make up` runs it (fsync on) and Redis."""
    postgres, redis = Postgres(home / "postgres"), Redis(home / "redis")
    try:
        postgres.start()
        redis.start()
        for role in ROLES.values():
            postgres.create_role(role)
        yield postgres, redis
    finally:
        redis.destroy()
        postgres.destroy()


def run_round(postgres: Postgres, redis: Redis, file: Path, home: Path, with_pgloader: bool) -> Round:
    """One time everything, on fresh databases and a fresh copy of the file."""
    result = Round()
    if with_pgloader:
        postgres.drop_database("pgloader")
        postgres.create_database("pgloader", "user_service")
        result.pgloader = timed(["pgloader", str(file), postgres.url("pgloader")], {}, home)
        postgres.drop_database("pgloader")
    work = home / "round"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    legacy = work / "users.db"
    shutil.copyfile(file, legacy)
    environ = stack_environment(postgres, redis, legacy)
    worker = Daemon("worker", work, work / "worker.log", f"{work}/worker")
    celery = [sys.executable, "-m", "celery", "--app", "celery_worker.app", "worker", "--concurrency", "2"]
    worker.start(celery, environ, PROJECT)
    try:
        wait_for(lambda: answers(redis.url))
        flask = [sys.executable, "-m", "flask", "migration"]
        timed([*flask, "dual-write", "--json"], environ, PROJECT)
        with watched_memory(worker) as peak:
            result.copy = timed([*flask, "copy", "--json"], environ, PROJECT)
            result.verify = timed([*flask, "verify", "--json"], environ, PROJECT)
        result.worker_mib = peak[0] / 2**20
    finally:
        worker.stop()
    return result


def stack_environment(postgres: Postgres, redis: Redis, legacy: Path) -> dict[str, str]:
    """Fresh databases with their schemas, and the settings that lead to them."""
    for database, role in ROLES.items():
        postgres.drop_database(database)
        postgres.create_database(database, role)
    environ = service_environment(
        {f"{name.removesuffix('_db')}_database_url": postgres.url(name) for name in ROLES},
        redis_url=redis.url,
        legacy_sqlite_path=legacy,
    )
    for database in ROLES:
        schema.upgrade(database, environ)
    return environ


def timed(command: list[str], environ: dict[str, str], folder: Path) -> float:
    """Wall seconds of a command that has to succeed."""
    began = time.monotonic()
    done = subprocess.run(
        command, env=environ or None, cwd=folder, capture_output=True, text=True, check=False
    )
    took = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return took


def answers(broker: str) -> bool:
    """Whether a worker answers to a ping."""
    with Celery(broker=broker, set_as_current=False) as app:
        return bool(app.control.ping(timeout=0.5))


def wait_for(ready: Callable[[], bool], seconds: float = 60.0) -> None:
    """Until `ready`, at most `seconds`."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise SystemExit("the worker did not become ready")
        time.sleep(0.1)


@contextmanager
def watched_memory(worker: Daemon) -> Iterator[list[float]]:
    """The peak resident bytes of any process of the worker, while the block runs."""
    peak, over = [0.0], threading.Event()

    def watch() -> None:
        main = psutil.Process(worker.pid)
        while not over.wait(0.1):
            with suppress(psutil.Error):
                sizes = [process.memory_info().rss for process in (main, *main.children(recursive=True))]
                peak[0] = max(peak[0], *sizes)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def report(users: int, rounds: list[Round]) -> list[str]:
    """Print the rounds and the medians of their ratios; returns the promises that do not hold.

    A ratio is taken within a round: what else the machine does changes from minute to minute, less within one.
    """
    print(f"{users:,} users, seconds of each round")
    rows: list[tuple[str, list[float]]] = [
        ("copy: split, checked, capture on", [one.copy for one in rounds]),
        ("verify: every row on both sides", [one.verify for one in rounds]),
    ]
    loads = [one.pgloader for one in rounds if one.pgloader is not None]
    if loads:
        rows.insert(0, ("pgloader: one table, unsplit", loads))
    for name, seconds in rows:
        printed = " ".join(f"{one:6.2f}" for one in seconds)
        print(f"  {name:34s} {printed}   {users / median(seconds):>9,.0f} rows/s")
    broken = []
    if loads:
        ratio = median(load / one.copy for load, one in zip(loads, rounds, strict=True))
        print(f"  pgloader / copy, median            {ratio:6.2f}")
        if ratio < 1.0:
            broken.append("the copy is slower than pgloader")
    share, memory = median(one.verify / one.copy for one in rounds), max(one.worker_mib for one in rounds)
    print(f"  verify / copy, median              {share:6.2f}")
    print(f"  largest worker process             {memory:6.0f} MiB")
    if share > VERIFY_SHARE:
        broken.append(f"verification takes more than {VERIFY_SHARE} of the copy")
    if memory > MEMORY_MIB:
        broken.append(f"a worker process needs more than {MEMORY_MIB} MiB")
    return broken


def main() -> int:
    """Exit code: 0 when every promise holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-pgloader", action="store_true")
    parser.add_argument("--file", type=Path, help="keep the legacy file here, or take it from here")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    given = parser.parse_args()
    with_pgloader = not given.without_pgloader
    if with_pgloader and shutil.which("pgloader") is None:
        print("pgloader is not installed (Debian: apt-get install pgloader); or use --without-pgloader")
        return 2
    with tempfile.TemporaryDirectory(prefix="bench-migration-") as folder:
        home = Path(folder)
        home.chmod(0o711)
        file = given.file or home / "legacy.db"
        if not file.exists():
            make_file(file, given.users)
        with servers(home) as (postgres, redis):
            rounds = [run_round(postgres, redis, file, home, with_pgloader) for _ in range(given.rounds)]
    broken = report(given.users, rounds)
    if given.json:
        given.json.write_text(
            json.dumps({"users": given.users, "rounds": [asdict(one) for one in rounds]}, indent=1)
        )
    for line in broken:
        print(f"BROKEN: {line}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
