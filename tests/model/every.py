"""All explorations of all models."""

from tests.model import runs_core, runs_events, runs_keys, runs_logs, runs_registration, runs_verify
from tests.model.runs import Run

RUNS: tuple[Run, ...] = (
    *runs_core.RUNS,
    *runs_logs.RUNS,
    *runs_keys.RUNS,
    *runs_verify.RUNS,
    *runs_registration.RUNS,
    *runs_events.RUNS,
)
