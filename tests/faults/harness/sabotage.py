"""Rules of the code taken away in the processes of a run, to see that a run notices.

Only functions are replaced, in forked processes; nothing of the project knows of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from auth_app.repository import credentials
from migration import apply, capture, copy_chunk, reverse, verify_chunk
from service_kit.events import processing

VARIABLE = "FAULTS_SABOTAGE"


@dataclass(frozen=True)
class Sabotage:
    """`name` of `owner` (a module or a class) is replaced by `instead(the function that was there)`."""

    owner: Any
    name: str
    instead: Callable[[Callable[..., Any]], Callable[..., Any]]

    @property
    def function(self) -> Callable[..., Any]:
        """What is there now."""
        found: Callable[..., Any] = getattr(self.owner, self.name)
        return found

    def carry_out(self) -> None:
        """Replace it in this process."""
        setattr(self.owner, self.name, self.instead(self.function))


def _without_victims(triggers: Callable[..., dict[str, str]]) -> Callable[..., dict[str, str]]:
    return lambda *given: {name: sql for name, sql in triggers(*given).items() if "before" not in name}


def _over_newer(merge: Callable[..., None]) -> Callable[..., None]:
    return lambda connection, side, _, text: merge(connection, side, 2**62, text)


def _twice(run: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, ready: run(self, [event for event in ready for _ in range(2)])


def _nothing(value: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return lambda _: lambda *given, **named: value


SABOTAGES = {
    "victims of REPLACE are not logged": Sabotage(capture, "capture_triggers", _without_victims),
    "reverse entries are forgotten without their rows": Sabotage(reverse, "write_accounts", _nothing(0)),
    "the applier makes no events": Sabotage(apply, "append_many", _nothing([])),
    "a chunk writes over newer versions": Sabotage(copy_chunk, "_merge", _over_newer),
    "verify sees nothing": Sabotage(verify_chunk, "_suspects", _nothing(frozenset())),
    "a credential is acknowledged and not stored": Sabotage(credentials, "insert", _nothing(True)),
    "a consumer handles an event twice": Sabotage(processing.Processing, "_run", _twice),
}
