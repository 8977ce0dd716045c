"""A program that knows nothing of the migration and writes straight to the file, in every statement form.

It stands for the old monolith, a cron job or somebody's shell. Once the truth has left the file, the file itself
must refuse it; after a rollback it must be able to go on.
"""

import random
import sqlite3
import threading
from pathlib import Path

from devstack.demo.ledger import Account, Ledger


class DirectWriter(threading.Thread):
    """Writes to rows of its own: the ids from `first` to `first + count - 1` of the sample, and new ones."""

    def __init__(
        self, path: Path, ledger: Ledger, password_hash: str, first: int, count: int, pace: float
    ) -> None:
        super().__init__(name="direct-writer", daemon=True)
        self._path = path
        self._ledger = ledger
        self._hash = password_hash
        self._ids = list(range(first, first + count))
        self._pace = pace
        self._random = random.Random(7)  # noqa: S311 - repeatable, not secret
        self._serial = 0
        self._stopped = threading.Event()
        self._between_steps = threading.Lock()
        self.refused = 0
        self.errors: list[str] = []

    def run(self) -> None:
        connection = sqlite3.connect(self._path, timeout=10, isolation_level=None)
        while not self._stopped.is_set():
            with self._between_steps:
                self._one_step(connection)
            self._stopped.wait(self._pace)
        connection.close()

    def stop(self) -> None:
        """Finish the present transaction and end."""
        self._stopped.set()

    def at_rest(self) -> threading.Lock:
        """A lock that holds the writer between two transactions while it is held."""
        return self._between_steps

    def _one_step(self, connection: sqlite3.Connection) -> None:
        step = self._random.choice(
            (
                self._update,
                self._update,
                self._replace,
                self._upsert,
                self._insert_delete,
                self._swap,
                self._undone,
            )
        )
        try:
            connection.execute("BEGIN IMMEDIATE")
            effects = step(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._refusal(connection, error)
            return
        for user_id, account in effects.items():
            if account is None:
                self._ledger.delete(user_id)
            else:
                self._ledger.put(user_id, account)

    def _refusal(self, connection: sqlite3.Connection, error: sqlite3.Error) -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.IntegrityError) and "UNIQUE" not in str(error):
            self.refused += 1  # RAISE(ABORT) of the fence
        else:
            self.errors.append(f"{type(error).__name__}: {error}")

    def _fresh(self, what: str = "direct") -> Account:
        self._serial += 1
        return Account(
            f"{what}-{self._serial}@example.org", f"Direct {self._serial}", password_hash=self._hash
        )

    def _update(self, connection: sqlite3.Connection) -> dict[int, Account | None]:
        user_id, account = self._random.choice(self._ids), self._fresh()
        connection.execute(
            "UPDATE users SET email = ?, name = ?, password = ? WHERE id = ?",
            (account.email, account.name, self._hash, user_id),
        )
        return {user_id: account}

    def _replace(self, connection: sqlite3.Connection) -> dict[int, Account | None]:
        """REPLACE that deletes another row through the unique email, which fires no delete trigger."""
        winner, victim = self._random.sample(self._ids, 2)
        email = connection.execute("SELECT email FROM users WHERE id = ?", (victim,)).fetchone()[0]
        fresh = self._fresh()
        account = Account(email, fresh.name, password_hash=self._hash)
        connection.execute(
            "INSERT OR REPLACE INTO users (id, email, password, name) VALUES (?, ?, ?, ?)",
            (winner, email, self._hash, account.name),
        )
        again = self._fresh()
        connection.execute(
            "INSERT INTO users (id, email, password, name) VALUES (?, ?, ?, ?)",
            (victim, again.email, self._hash, again.name),
        )
        return {winner: account, victim: again}

    def _upsert(self, connection: sqlite3.Connection) -> dict[int, Account | None]:
        user_id, account = self._random.choice(self._ids), self._fresh()
        connection.execute(
            "INSERT INTO users (id, email, password, name) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE"
            " SET email = excluded.email, name = excluded.name, password = excluded.password",
            (user_id, account.email, self._hash, account.name),
        )
        return {user_id: account}

    def _insert_delete(self, connection: sqlite3.Connection) -> dict[int, Account | None]:
        """Two new rows, one of which goes again."""
        kept, gone = self._fresh("new"), self._fresh("gone")
        statement = "INSERT INTO users (email, password, name) VALUES (?, ?, ?)"
        kept_id = connection.execute(statement, (kept.email, self._hash, kept.name)).lastrowid or 0
        gone_id = connection.execute(statement, (gone.email, self._hash, gone.name)).lastrowid or 0
        connection.execute("DELETE FROM users WHERE id = ?", (gone_id,))
        return {kept_id: kept, gone_id: None}

    def _swap(self, connection: sqlite3.Connection) -> dict[int, Account | None]:
        """Two rows exchange their emails."""
        one, two = self._random.sample(self._ids, 2)
        rows = {
            user_id: connection.execute(
                "SELECT email, name, password FROM users WHERE id = ?", (user_id,)
            ).fetchone()
            for user_id in (one, two)
        }
        connection.execute("UPDATE users SET email = ? WHERE id = ?", (f"swap-{one}@example.org", one))
        connection.execute("UPDATE users SET email = ? WHERE id = ?", (rows[one][0], two))
        connection.execute("UPDATE users SET email = ? WHERE id = ?", (rows[two][0], one))
        return {
            one: Account(rows[two][0], rows[one][1], password_hash=rows[one][2]),
            two: Account(rows[one][0], rows[two][1], password_hash=rows[two][2]),
        }

    def _undone(self, connection: sqlite3.Connection) -> dict[int, Account | None]:
        """A change that is rolled back and must be seen nowhere."""
        connection.execute("UPDATE users SET name = 'never' WHERE id = ?", (self._random.choice(self._ids),))
        connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        return {}
