"""The other end of service_kit.steps: processes announce the points that they reach and wait here for an answer.

What happens to a process is decided before it starts, by its fates: at the n-th visit of a point it is killed, held
for a while or until the story reaches a milestone, or something is done to the world around it. Every other point is
let pass at once.
"""

import json
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.harness.journal import Journal

KILL, TERM, HOLD, ACT = "kill", "term", "hold", "act"
HOLD_SECONDS = 20.0


@dataclass(frozen=True)
class Fate:
    """What happens at the `visit`-th time that a process reaches `point`.

    `seconds` bounds a hold; `until` names a milestone that ends it earlier. `act` names what is done to the world
    before the process goes on (see `Controller.acts`).
    """

    point: str
    what: str
    visit: int = 1
    seconds: float = 0.0
    until: str | None = None
    act: str | None = None


@dataclass
class Tally:
    """What a controller has seen: visits and kills per point, acts per name."""

    visits: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    holds: Counter[str] = field(default_factory=Counter)
    acts: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Count another tally in."""
        for name in ("visits", "kills", "holds", "acts"):
            getattr(self, name).update(getattr(other, name))


def _nobody_sends(role: str, number: int) -> None:
    raise RuntimeError(f"signal {number} for {role}: whoever starts processes must set send_signal")


class Controller:
    """Listens on a unix socket in `home` until `close`. `acts` maps names to what is done, with the process' pid;
    `send_signal` sends a signal to the process of a role."""

    def __init__(self, home: Path, journal: Journal) -> None:
        self.path = home / "control"
        self.tally = Tally()
        self.acts: dict[str, Callable[[int], None]] = {}
        self.send_signal: Callable[[str, int], object] = _nobody_sends
        self._journal = journal
        self._fates: dict[str, list[Fate]] = {}
        self._visits: Counter[tuple[str, str]] = Counter()
        self._milestones: set[str] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._world = threading.Lock()  # one act at a time, and none behind `close`
        self._over = False
        self._stalled: set[str] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._accept, name="controller", daemon=True)
        self._thread.start()

    def expect(self, role: str, fates: list[Fate]) -> None:
        """Decide over a process before it starts; its announcements carry `role`."""
        with self._changed:
            self._fates[role] = list(fates)

    def milestone(self, name: str) -> None:
        """The story has come this far: whoever was held until then goes on."""
        self._journal.note("milestone", name=name)
        with self._changed:
            self._milestones.add(name)
            self._changed.notify_all()

    def visited(self, role: str, point: str) -> bool:
        """Whether a process has reached a point."""
        with self._changed:
            return self._visits[role, point] > 0

    def wait_visited(self, role: str, point: str, seconds: float) -> bool:
        """Wait until a process has reached a point, or for so long."""
        with self._changed:
            return self._changed.wait_for(lambda: self._visits[role, point] > 0, seconds)

    def stalled(self, role: str) -> bool:
        """Whether a process stands at a point until a milestone that the story has not reached."""
        with self._changed:
            return role in self._stalled

    def release(self) -> None:
        """End every hold and hold nobody any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def close(self) -> None:
        """Let everybody go and stop listening. An act that has begun is seen through."""
        self.release()
        with self._world:
            self._over = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink(missing_ok=True)
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, ValueError):
            said = json.loads(connection.recv(4096))
            fate = self._fate(said["role"], said["point"])
            self._journal.note(
                "point", role=said["role"], point=said["point"], fate=fate.what if fate else "go"
            )
            if fate is not None and not self._carry_out(fate, said["role"], said["pid"]):
                return
            connection.sendall(b"go\n")

    def _fate(self, role: str, point: str) -> Fate | None:
        with self._changed:
            self.tally.visits[point] += 1
            self._visits[role, point] += 1
            visit = self._visits[role, point]
            self._changed.notify_all()
            if self._closed:
                return None
            found = [
                fate for fate in self._fates.get(role, ()) if fate.point == point and fate.visit == visit
            ]
        return found[0] if found else None

    def _carry_out(self, fate: Fate, role: str, pid: int) -> bool:
        """Returns whether the process goes on."""
        if fate.what in (KILL, TERM):
            self.tally.kills[fate.point] += 1
            self.send_signal(role, signal.SIGKILL if fate.what == KILL else signal.SIGTERM)
            return fate.what == TERM
        if fate.what == ACT and fate.act:
            self._act(fate.act, pid)
        if fate.what == HOLD:
            self.tally.holds[fate.point] += 1
            self._hold(fate, role)
        return True

    def _act(self, act: str, pid: int) -> None:
        with self._world:
            if not self._over:
                self.tally.acts[act] += 1
                self.acts[act](pid)

    def _hold(self, fate: Fate, role: str) -> None:
        def over() -> bool:
            return self._closed or (fate.until is not None and fate.until in self._milestones)

        with self._changed:
            if fate.until is not None:
                self._stalled.add(role)
            self._changed.wait_for(over, fate.seconds or HOLD_SECONDS)
            self._stalled.discard(role)
