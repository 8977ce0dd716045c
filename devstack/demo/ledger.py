"""What has been acknowledged to somebody, kept apart from every store, so that a store can be held to it."""

import threading
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Account:
    """The last acknowledged state of one user. `password_hash`: of rows written directly."""

    email: str
    name: str | None
    password: str | None = None
    password_hash: str | None = None


@dataclass
class Ledger:
    """Acknowledged accounts by id, and acknowledged deletions. Each account has one writer only."""

    accounts: dict[int, Account] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)
    acknowledged: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, user_id: int, account: Account) -> None:
        """A row was acknowledged as a whole."""
        with self._lock:
            self.accounts[user_id] = account
            self.deleted.discard(user_id)
            self.acknowledged += 1

    def change(self, user_id: int, **fields: Any) -> None:
        """Some fields of a row were acknowledged."""
        with self._lock:
            self.accounts[user_id] = replace(self.accounts[user_id], **fields)
            self.acknowledged += 1

    def delete(self, user_id: int) -> None:
        """A deletion was acknowledged."""
        with self._lock:
            self.accounts.pop(user_id, None)
            self.deleted.add(user_id)
            self.acknowledged += 1
