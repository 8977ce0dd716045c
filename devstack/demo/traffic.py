"""Live clients of the gateway: they register, log in, read and change their accounts, and check every answer."""

import http.client
import json
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from devstack.demo.ledger import Account, Ledger

PASSWORD = "sample-password-1"  # noqa: S105 - of users that do not exist


@dataclass
class Measures:
    """What the clients saw. `longest` is in seconds; `failures` holds one line for each broken promise."""

    requests: int = 0
    longest: float = 0.0
    failures: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, seconds: float) -> None:
        """One request was answered after `seconds`."""
        with self._lock:
            self.requests += 1
            self.longest = max(self.longest, seconds)

    def fail(self, line: str) -> None:
        """A promise was broken."""
        with self._lock:
            self.failures.append(line)


class Client(threading.Thread):
    """One client with one account, which nobody else writes: every answer is known beforehand."""

    def __init__(
        self, number: int, address: tuple[str, int], ledger: Ledger, measures: Measures, pace: float
    ) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self._address = address
        self._ledger = ledger
        self._measures = measures
        self._pace = pace
        self._random = random.Random(number)  # noqa: S311 - repeatable, not secret
        self._number = number
        self._serial = 0
        self._running = threading.Event()
        self._running.set()
        self._idle = threading.Event()
        self._stopped = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._token = ""
        self._id = 0

    def run(self) -> None:
        try:
            self._register()
            while not self._stopped.is_set():
                if not self._running.is_set():
                    self._idle.set()
                    self._running.wait(0.05)
                    continue
                self._idle.clear()
                self._one_step()
                self._stopped.wait(self._pace * self._random.uniform(0.5, 1.5))
        except Exception as error:  # noqa: BLE001 - a client that dies is a failure of its own, not a silent one
            self._measures.fail(f"{self.name} died: {type(error).__name__}: {error}")
        finally:
            self._idle.set()

    def pause(self) -> None:
        """Ask for a pause after the present step; `wait_idle` waits for it."""
        self._running.clear()

    def wait_idle(self, timeout: float) -> bool:
        """Whether the client is between two steps and stays there."""
        return self._idle.wait(timeout)

    def resume(self) -> None:
        """Go on after a pause."""
        self._idle.clear()
        self._running.set()

    def stop(self) -> None:
        """Finish the present step and end."""
        self._stopped.set()
        self._running.set()

    def _one_step(self) -> None:
        dice = self._random.random()
        if dice < 0.60:
            self._read()
        elif dice < 0.86:
            self._rename()
        elif dice < 0.92:
            self._change_email()
        elif dice < 0.95:
            self._change_password()
        elif dice < 0.98:
            self._log_in()
        else:
            self._register()

    def _next(self, what: str) -> str:
        self._serial += 1
        return f"{what}-{self._number}-{self._serial}-{time.time_ns() % 10**9}"

    def _register(self) -> None:
        account = Account(f"{self._next('demo')}@example.com", self._next("Name"), password=PASSWORD)
        body = self._send("POST", "/api/register", 201, vars_of(account, "email", "password", "name"))
        if body:
            self._id, self._token = body["user"]["id"], body["token"]
            self._ledger.put(self._id, account)

    def _read(self) -> None:
        body = self._send("GET", "/api/profile", 200)
        mine = self._ledger.accounts[self._id]
        if body and (body["user"]["email"], body["user"]["name"]) != (mine.email, mine.name):
            self._measures.fail(f"{self.name}: read {body['user']} after {mine} was acknowledged")

    def _rename(self) -> None:
        name = self._next("Name")
        if self._send("PUT", "/api/profile", 200, {"name": name}):
            self._ledger.change(self._id, name=name)

    def _change_email(self) -> None:
        email = f"{self._next('demo')}@example.com"
        body = self._send("PUT", "/api/profile", 200, {"email": email})
        if body:
            self._token = body["token"]
            self._ledger.change(self._id, email=email)

    def _change_password(self) -> None:
        new = self._next("password")
        old = self._ledger.accounts[self._id].password
        if self._send("PUT", "/api/change-password", 200, {"currentPassword": old, "newPassword": new}):
            self._ledger.change(self._id, password=new)

    def _log_in(self) -> None:
        mine = self._ledger.accounts[self._id]
        body = self._send("POST", "/api/login", 200, vars_of(mine, "email", "password"))
        if body:
            self._token = body["token"]

    def _send(
        self, method: str, path: str, expected: int, body: dict[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """The answer's body, or None when the promise of an answer with `expected` was broken (and noted)."""
        payload = json.dumps(body).encode() if body is not None else None
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        started = time.monotonic()
        try:
            status, answer = self._exchange(method, path, payload, headers)
        except (OSError, http.client.HTTPException) as error:
            self._connection = None
            self._measures.fail(f"{self.name}: {method} {path}: {type(error).__name__}: {error}")
            return None
        self._measures.note(time.monotonic() - started)
        if status != expected:
            self._measures.fail(f"{self.name}: {method} {path}: {status} {answer[:200]!r}")
            return None
        parsed: dict[str, Any] = json.loads(answer)
        return parsed

    def _exchange(
        self, method: str, path: str, payload: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(*self._address, timeout=15)
        self._connection.request(method, path, payload, headers)
        response = self._connection.getresponse()
        return response.status, response.read()


def vars_of(account: Account, *names: str) -> dict[str, Any]:
    """The named fields as a request body."""
    return {name: getattr(account, name) for name in names}
