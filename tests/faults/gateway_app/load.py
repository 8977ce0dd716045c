"""Traffic that goes on while something breaks, and what became of it."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from tests.support.gateway import Client, Gateway


@dataclass
class Load:
    """Clients that repeat one request over kept-alive connections, from entering to leaving the block.

    `outcomes` counts statuses and names of errors, `said` keeps an answer of each status; `slowest` is in seconds. A
    client whose connection the gateway ends between two requests connects anew.
    """

    gateway: Gateway
    method: str
    target: str
    headers: dict[str, str]
    body: Any = None
    clients: int = 8
    outcomes: Counter[str] = field(default_factory=Counter)
    said: dict[str, bytes] = field(default_factory=dict)
    slowest: float = 0.0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> "Load":
        self._threads = [threading.Thread(target=self._run) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    @property
    def total(self) -> int:
        """Requests so far."""
        return sum(self.outcomes.values())

    def _run(self) -> None:
        client: Client | None = None
        while not self._stopped.is_set():
            started = time.monotonic()
            try:
                client = client or self.gateway.client()
            except ConnectionRefusedError:
                self._note("refused", started)
                return
            try:
                answer = client.request(self.method, self.target, self.headers, self.body)
                self.said.setdefault(str(answer.status), answer.body)
                self._note(str(answer.status), started)
                if answer.all("connection") == ["close"]:
                    client.close()
                    client = None
            except (OSError, ValueError) as error:
                self._note(type(error).__name__, started)
                client.close()
                client = None
        if client is not None:
            client.close()

    def _note(self, outcome: str, started: float) -> None:
        with self._lock:
            self.outcomes[outcome] += 1
            self.slowest = max(self.slowest, time.monotonic() - started)
