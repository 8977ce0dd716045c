"""How far a pass is, in numbers, and how that looks on a terminal, in a log, and nowhere."""

import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from sqlalchemy import Engine

from migration.plan import Plan

_LINE_SECONDS = 2.0
_NO_WORKER_SECONDS = 6.0


@dataclass(frozen=True)
class State:
    """A pass now. Rows are the snapshot's; `rate` in rows/s and `seconds_left` are None while nobody knows.

    `lag`: changes in the log that a database has not applied; `waits`: why bulk work has to wait; `failing`: the last
    error of a chunk that is tried again, with its number of attempts in `attempts`.
    """

    kind: str
    rows: int
    done: int
    rejected: int
    differences: int
    chunks: int
    workers: int
    rate: float | None
    lag: int | None
    waits: str | None
    failing: str | None
    attempts: int
    idle_seconds: float

    @property
    def seconds_left(self) -> float | None:
        return (self.rows - self.done) / self.rate if self.rate else None

    @property
    def lacks_workers(self) -> bool:
        """Chunks wait, and for a while no worker has taken one."""
        return self.waits is None and self.idle_seconds > _NO_WORKER_SECONDS

    @property
    def words(self) -> str:
        """Everything beside the bar, in one line."""
        rate = f"{self.rate:,.0f} rows/s" if self.rate else "no rate yet"
        left = "" if self.seconds_left is None else f", {_duration(self.seconds_left)} left"
        lag = "" if self.lag is None else f", lag {self.lag:,} changes"
        more = f", {self.rejected:,} rejected" if self.rejected else ""
        more += f", {self.differences:,} to be looked at again" if self.differences else ""
        if self.waits:
            more += f"; WAITING: {self.waits}"
        elif self.lacks_workers:
            more += "; WAITING for a worker (celery --app celery_worker.app worker)"
        elif self.failing:
            more += f"; tried again after: {self.failing}"
        return f"{rate}{left}{lag}{more}"


_SELECT = """
SELECT COALESCE(sum(rows) FILTER (WHERE state = 'done'), 0)::bigint,
    COALESCE(sum(rejected), 0)::bigint, COALESCE(sum(differences), 0)::bigint,
    count(*) FILTER (WHERE state = 'done'),
    count(DISTINCT leased_by) FILTER (WHERE state = 'leased'),
    sum(rows) FILTER (WHERE finished_at > now() - interval '5 seconds'),
    extract(epoch FROM now() - min(finished_at - seconds * interval '1 second')
        FILTER (WHERE finished_at > now() - interval '5 seconds')),
    (array_agg(error ORDER BY token DESC) FILTER (WHERE error IS NOT NULL AND state <> 'done'))[1],
    COALESCE(max(token) FILTER (WHERE error IS NOT NULL AND state <> 'done'), 0),
    COALESCE(extract(epoch FROM now() - max(greatest(finished_at, leased_until - %(lease)s * interval '1 second'))),
        extract(epoch FROM now() - min(queued_at)), 0)
FROM chunks WHERE plan_id = %(plan)s
"""


def read(engine: Engine, plan: Plan, lease_seconds: float, lag: int | None, waits: str | None) -> State:
    """The state of a pass now, out of migration_db."""
    with engine.connect() as connection:
        row = connection.exec_driver_sql(_SELECT, {"plan": plan.id, "lease": lease_seconds}).one()
    done, rejected, differences, chunks, workers, recent, span, failing, attempts, idle = row
    rate = float(recent) / max(float(span), 0.05) if recent and span else None
    return State(
        plan.kind, plan.rows, int(done), int(rejected), int(differences), chunks, workers, rate, lag, waits,
        failing, int(attempts), float(idle),
    )  # fmt: skip


class Display(Protocol):
    """Shows states as they come; a context manager."""

    def __enter__(self) -> "Display": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, state: State) -> None:
        """Show `state`."""


def display(as_json: bool) -> Display:
    """A bar on a terminal, lines elsewhere; nothing when the answer is for a machine."""
    if as_json:
        return Silent()
    return Bar() if sys.stdout.isatty() else Lines()


class Silent:
    """Shows nothing."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, state: State) -> None:
        """Nothing."""


class Lines(Silent):
    """A plain line every two seconds, and one for the end."""

    def __init__(self) -> None:
        self._next = 0.0
        self._last: State | None = None

    def __exit__(self, *_: object) -> None:
        if self._last is not None:
            self._print(self._last)

    def show(self, state: State) -> None:
        self._last = state
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_SECONDS
            self._print(state)

    def _print(self, state: State) -> None:
        share = 100 if not state.rows else 100 * state.done // state.rows
        click.echo(f"{state.kind}: {state.done:,} of {state.rows:,} rows ({share} %), {state.words}")


class Bar(Silent):
    """A bar that is drawn over again."""

    def __init__(self, console: Console | None = None) -> None:
        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows"),
            TextColumn("{task.fields[words]}"),
        )
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task("", total=1, words="", visible=False)

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, state: State) -> None:
        self._progress.update(
            self._task,
            description=state.kind,
            total=max(state.rows, 1),
            completed=state.done if state.rows else 1,
            words=state.words,
            visible=True,
        )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )
