"""Rules of the code taken away in the processes of a run, to see that a run notices.

Only names of functions are replaced, in forked processes; nothing of the project knows of it.
"""

from collections.abc import Callable
from typing import Any

from auth_app.repository import credentials
from migration import apply, capture, copy_chunk, reverse, triggers, verify_chunk
from service_kit.events import processing

VARIABLE = "FAULTS_SABOTAGE"


def _replace(module: Any, name: str, function: Callable[..., Any]) -> None:
    if not callable(getattr(module, name)):
        raise TypeError(f"{module.__name__}.{name} is no function")
    setattr(module, name, function)


def _victims_unlogged() -> None:
    def without_victims(*arguments: Any) -> dict[str, str]:
        found = triggers.capture_triggers(*arguments)
        return {name: sql for name, sql in found.items() if "before" not in name}

    _replace(capture, "capture_triggers", without_victims)


def _reverse_forgets() -> None:
    _replace(reverse, "write_accounts", lambda *_: 0)


def _applier_silent() -> None:
    _replace(apply, "append_many", lambda *_: [])


def _chunk_overwrites() -> None:
    merge = copy_chunk._merge
    _replace(copy_chunk, "_is_untouched", lambda *_: False)
    _replace(copy_chunk, "_merge", lambda connection, side, _, text: merge(connection, side, 2**62, text))


def _verify_blind() -> None:
    _replace(verify_chunk, "_suspects", lambda *_: set())


def _credential_kept_back() -> None:
    _replace(credentials, "insert", lambda *_: True)


def _events_twice() -> None:
    once = processing.Processing._run

    def twice(self: Any, ready: Any) -> Any:
        return once(self, [event for event in ready for _ in range(2)])

    _replace(processing.Processing, "_run", twice)


SABOTAGES: dict[str, Callable[[], None]] = {
    "victims of REPLACE are not logged": _victims_unlogged,
    "reverse entries are forgotten without their rows": _reverse_forgets,
    "the applier makes no events": _applier_silent,
    "a chunk writes over newer versions": _chunk_overwrites,
    "verify sees nothing": _verify_blind,
    "a credential is acknowledged and not stored": _credential_kept_back,
    "a consumer handles an event twice": _events_twice,
}
