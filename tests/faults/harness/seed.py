"""One seed from its file to its verdict."""

import random
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.harness import event_jobs, event_judge, legacy, monolith
from tests.faults.harness.cast import Cast
from tests.faults.harness.compare import differences
from tests.faults.harness.control import Controller
from tests.faults.harness.corrupt import Corruptor
from tests.faults.harness.journal import Journal, read
from tests.faults.harness.judge import unexplained, writes_of
from tests.faults.harness.plots import Plot, random_plot
from tests.faults.harness.processes import Crew
from tests.faults.harness.sabotage import VARIABLE
from tests.faults.harness.servers import Databases, Servers, run_sql
from tests.faults.harness.story import Story, Stuck
from tests.faults.harness.verdict import Verdict

_SCRATCH = Path("/dev/shm")  # commits are flushed to disk; here that costs nothing


def run_seed(
    seed: int, servers: Servers, home: Path, keep: bool = False, plot: Plot | None = None
) -> Verdict:
    """Run one seed, by the plot that it decides or by another; its folder under `home` keeps the history and the file
    when a promise broke."""
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"seed-{seed}-", dir=_SCRATCH if _SCRATCH.is_dir() else None))
    databases = servers.databases(f"s{seed}")
    event_jobs.prepare(databases)
    run = _Run(seed, plot or random_plot(seed), servers, databases, folder)
    try:
        run.play()
        if not run.verdict.faults:
            run.judge()
    finally:
        servers.drop(databases)
        if run.verdict.faults or keep:
            run.verdict.history = _moved(folder, home / f"seed-{seed}") / "history.jsonl"
        shutil.rmtree(folder, ignore_errors=True)
    run.verdict.seconds = time.monotonic() - began
    return run.verdict


def _moved(folder: Path, kept: Path) -> Path:
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder, kept, ignore=lambda _, names: [name for name in names if name == "control"])
    return kept


class _Run:
    """Everything that the seed decides, and what came of it."""

    def __init__(self, seed: int, plot: Plot, servers: Servers, databases: Databases, folder: Path) -> None:
        self.verdict = Verdict(seed)
        self._plot = plot
        self._rng = random.Random(seed)
        self._databases = databases
        self._file = folder / "users.db"
        legacy.make(self._file, self._rng)
        self._initial = legacy.rows_of_file(self._file)
        self._journal = Journal(folder / "history.jsonl", "story")
        self._controller = Controller(folder, self._journal)
        self._controller.acts = _acts(servers, databases) | {"write to the source": self._write_to_the_source}
        environ = servers.environment(
            databases, self._file, cutover_budget_ms=2000, migration_lease_seconds=1, event_poll_seconds=0.1
        )
        environ[VARIABLE] = plot.sabotage
        self._crew = Crew(folder, self._controller, self._journal, environ)
        self._corruptor = Corruptor(self._file, databases, self._journal, self._rng)

    def _write_to_the_source(self, _: int) -> None:
        number = self._controller.tally.acts["write to the source"]
        rng = random.Random(f"{self.verdict.seed}/act/{number}")
        monolith.write_once(self._file, self._journal, f"act/{number}", rng)

    def play(self) -> None:
        """The story, under its writers and kills."""
        story = self._story()
        try:
            self._plot.tell(story)
            story.quiet()
        except (Stuck, TimeoutError) as error:
            self.verdict.faults.append(f"stuck: {error}")
        finally:
            self._controller.release()
            self._crew.end(5.0)
            self._controller.close()
            self._journal.close()
        self.verdict.tally = self._controller.tally
        self.verdict.ending = story.phase()

    def _story(self) -> Story:
        fates = self._plot.fates(self._controller.tally)
        cast = Cast(
            self._crew, self._controller, self.verdict.seed, fates, self._plot.pause, dict(self._plot.parts)
        )
        return Story(
            self._file,
            self._crew,
            cast,
            self._controller,
            self._journal,
            self._rng,
            fates,
            self._corruptor,
            self._databases,
        )

    def judge(self) -> None:
        """Hold what is left against what was done."""
        verdict, databases, corruptor = self.verdict, self._databases, self._corruptor
        records = read(self._journal.path)
        verdict.note_story(records)
        writes = writes_of(records, self._initial)
        verdict.writes = len(writes) - 1
        verdict.acknowledged = sum(write.acknowledged for write in writes) - 1
        verdict.found, verdict.healed = corruptor.found, corruptor.healed
        verdict.planted = corruptor.found + corruptor.healed + len(corruptor.missed)
        in_file = legacy.rows_of_file(self._file)
        in_databases, faults = legacy.rows_of_databases(databases.user_db, databases.auth_db)
        phase = legacy.state_of_file(self._file)[1]
        if phase not in ("finished", "legacy"):
            faults += differences(in_file, in_databases)
        faults += unexplained(in_databases if phase in ("cutover", "finished") else in_file, writes)
        faults += event_judge.faults(databases, corruptor.touched)
        for url in (databases.user_db, databases.auth_db):
            verdict.events += run_sql(url, "SELECT count(*) FROM events")[0][0]
        verdict.faults += corruptor.missed + faults


def _acts(servers: Servers, databases: Databases) -> dict[str, Callable[[int], None]]:
    def fill_the_disk(pid: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

    def let_an_hour_pass(_: int) -> None:
        hour = "- interval '1 hour'"
        run_sql(
            databases.user_db,
            f"UPDATE users SET pending_since = pending_since {hour} WHERE status = 'pending'",
        )
        run_sql(databases.migration_db, f"UPDATE chunks SET leased_until = leased_until {hour}")

    return {
        "an hour passes": let_an_hour_pass,
        "restart redis": lambda _: servers.restart_redis(),
        "cut connections": lambda _: servers.cut_connections(databases),
        "restart postgres": lambda _: servers.restart(),
        "fill the disk": fill_the_disk,
    }
