"""The truth moves back and forth under live writers: none is refused, none waits long, none is lost."""

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from migration.answer import Refused
from migration.drain import drain
from migration.reverse import apply_reverse
from migration.session import Session
from tests.integration.migration_protocol.moving import BUDGET_MS, cut_over, dual_write, go_back, services_of
from tests.integration.migration_protocol.support import Legacy, accounts_of

CLIENTS, MOVES = 4, 4


@dataclass
class Client(threading.Thread):
    """Writes names to its own account until told to stop; remembers the last that was acknowledged."""

    session: Session
    key: int
    stop: threading.Event
    acknowledged: str = ""
    writes: int = 0
    longest: float = 0.0
    errors: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        services = services_of(self.session, undo_after=10)
        while not self.stop.is_set():
            name, began = f"{self.key} {self.writes}", time.monotonic()
            try:
                services.rename(self.key, name)
                services.change_password(self.key, f"hash {name}")
            except Exception as error:  # noqa: BLE001, a thread must not die silently
                self.errors.append(error)
                return
            self.longest = max(self.longest, time.monotonic() - began)
            self.acknowledged = name
            self.writes += 1


def test_every_acknowledged_write_survives_every_move(session: Session, legacy: Legacy) -> None:
    keys = [legacy.add(f"client{number}") for number in range(CLIENTS)]
    dual_write(session, legacy)
    stop = threading.Event()
    clients = [Client(session, key, stop) for key in keys]
    old_server = threading.Thread(target=_old_server, args=(legacy, stop), daemon=True)
    for thread in (*clients, old_server):
        thread.start()
    try:
        for number in range(MOVES):
            before = [client.writes for client in clients]
            _insist(cut_over if number % 2 == 0 else go_back, session)
            deadline = time.monotonic() + 30
            while not all(client.writes > then for client, then in zip(clients, before, strict=True)):
                assert time.monotonic() < deadline, [client.errors for client in clients]
                time.sleep(0.01)
    finally:
        stop.set()
        for thread in (*clients, old_server):
            thread.join(30)
    assert [client.errors for client in clients] == [[]] * CLIENTS
    drain(session)
    apply_reverse(session)
    assert accounts_of(session.user, session.auth) == legacy.accounts()
    for client in clients:
        held = legacy.accounts()[client.key]
        assert (held[2], held[1]) == (client.acknowledged, f"hash {client.acknowledged}")
        assert client.longest < BUDGET_MS / 1000


def _insist(move: Callable[[Session], object], session: Session) -> None:
    """A move may be refused, when two rollbacks or a slow machine are in its way; then it is asked for again."""
    for _ in range(5):
        try:
            move(session)
        except Refused:
            continue
        return
    raise AssertionError("the move was refused five times")


def _old_server(legacy: Legacy, stop: threading.Event) -> None:
    """The legacy server goes on writing; once fenced it is refused, and tries again."""
    random_ = random.Random(7)
    number = 0
    while not stop.wait(0.002):
        number += 1
        key = random_.choice([1, 2, 3])
        try:
            legacy.run(
                "INSERT OR REPLACE INTO users (id, email, password) VALUES (?, ?, 'x')", key, f"old{number}"
            )
        except sqlite3.IntegrityError as refusal:
            assert "moved to PostgreSQL" in str(refusal)
        except sqlite3.OperationalError as refusal:
            assert "locked" in str(refusal)
