"""One seed from its file to its verdict."""

import random
import resource
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.harness import legacy
from tests.faults.harness.cast import Cast
from tests.faults.harness.compare import differences
from tests.faults.harness.control import Controller, Tally
from tests.faults.harness.corrupt import Corruptor
from tests.faults.harness.journal import Journal, read
from tests.faults.harness.judge import unexplained, writes_of
from tests.faults.harness.processes import Crew
from tests.faults.harness.servers import Databases, Servers
from tests.faults.harness.story import Story, Stuck

_SCRATCH = Path("/dev/shm")


@dataclass
class Verdict:
    """What came of a seed. `faults` is empty when every promise held."""

    seed: int
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    tally: Tally = field(default_factory=Tally)
    writes: int = 0
    acknowledged: int = 0
    cutovers: int = 0
    rollbacks: int = 0
    cutover_ms: list[float] = field(default_factory=list)
    rollback_ms: list[float] = field(default_factory=list)
    planted: int = 0
    found: int = 0
    healed: int = 0
    ending: str = ""
    history: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        """For a line of JSON."""
        tally = {name: dict(counts) for name, counts in vars(self.tally).items()}
        return {**vars(self), "tally": tally, "history": str(self.history) if self.history else None}


def run_seed(seed: int, servers: Servers, home: Path, keep: bool = False) -> Verdict:
    """Run one seed; its folder under `home` keeps the history and the file when a promise broke."""
    began = time.monotonic()
    rng = random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix=f"seed-{seed}-", dir=_SCRATCH if _SCRATCH.is_dir() else None))
    file = folder / "users.db"
    legacy.make(file, rng)
    initial = legacy.rows_of_file(file)
    databases = servers.databases(f"s{seed}")
    verdict = Verdict(seed)
    try:
        verdict.faults = _play(seed, rng, servers, databases, folder, verdict)
        verdict.faults += _judge(verdict, file, databases, initial)
    finally:
        servers.drop(databases)
        if verdict.faults or keep:
            verdict.history = _moved(folder, home / f"seed-{seed}") / "history.jsonl"
        shutil.rmtree(folder, ignore_errors=True)
    verdict.seconds = time.monotonic() - began
    return verdict


def _moved(folder: Path, kept: Path) -> Path:
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder, kept, ignore=lambda _, names: [name for name in names if name == "control"])
    return kept


def _play(
    seed: int, rng: random.Random, servers: Servers, databases: Databases, folder: Path, verdict: Verdict
) -> list[str]:
    file = folder / "users.db"
    journal = Journal(folder / "history.jsonl", "story")
    controller = Controller(folder, journal)
    controller.acts = _acts(servers, databases)
    crew = Crew(
        folder,
        controller,
        journal,
        servers.environment(databases, file, cutover_budget_ms=2000, migration_lease_seconds=1),
    )
    intensity = rng.choice((0.3, 0.6, 0.9, 1.0))
    parts = {
        "monolith_writer": rng.choice((1, 1, 2)), "client": rng.choice((1, 2)), "applier": rng.choice((0, 1, 2)),
        "reverse_applier": rng.choice((0, 1, 2)), "sweeper": 1,
        "chunk_worker": rng.choice((1, 2, 3)),
    }  # fmt: skip
    cast = Cast(crew, controller, rng, intensity, rng.choice((0.02, 0.05)), parts)
    corruptor = Corruptor(file, databases, journal, rng)
    story = Story(seed, file, crew, cast, controller, journal, rng, intensity, corruptor)
    faults = []
    try:
        story.tell()
        story.quiet()
    except (Stuck, TimeoutError) as error:
        faults.append(f"stuck: {error}")
    finally:
        controller.release()
        crew.end(5.0)
        controller.close()
        journal.close()
    verdict.tally = controller.tally
    verdict.found, verdict.healed = corruptor.found, corruptor.healed
    verdict.planted = corruptor.found + corruptor.healed + len(corruptor.missed)
    faults += corruptor.missed
    verdict.ending = story.phase()
    return faults


def _acts(servers: Servers, databases: Databases):
    def fill_the_disk(pid: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

    return {
        "cut connections": lambda _: servers.cut_connections(databases),
        "restart postgres": lambda _: servers.restart(),
        "fill the disk": fill_the_disk,
    }


def _judge(verdict: Verdict, file: Path, databases: Databases, initial: dict[int, legacy.Row]) -> list[str]:
    records = read(file.parent / "history.jsonl")
    writes = writes_of(records, initial)
    verdict.writes, verdict.acknowledged = len(writes) - 1, sum(write.acknowledged for write in writes) - 1
    _note_pauses(verdict, records)
    in_file = legacy.rows_of_file(file)
    in_databases, faults = legacy.rows_of_databases(databases.user_db, databases.auth_db)
    phase = legacy.state_of_file(file)[1]
    if phase != "finished" and phase != "legacy":
        faults += differences(in_file, in_databases)
    truth = in_databases if phase in ("cutover", "finished") else in_file
    return faults + unexplained(truth, writes)


def _note_pauses(verdict: Verdict, records: list[dict[str, Any]]) -> None:
    for record in records:
        job = str(record.get("role", "")).partition("#")[0]
        result = record.get("result") if record["what"] == "result" else None
        if isinstance(result, dict) and result.get("paused_ms") is not None:
            pauses = verdict.cutover_ms if job == "cutover" else verdict.rollback_ms
            pauses.append(result["paused_ms"])
        if record["what"] == "milestone":
            verdict.cutovers += record["name"].startswith("cutover")
            verdict.rollbacks += record["name"] == "rollback"
