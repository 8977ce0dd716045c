"""Rows of PostgreSQL that somebody changes behind the toolkit's back, and whether verify has found them."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2

from tests.faults.harness.journal import Journal
from tests.faults.harness.legacy import rows_of_file
from tests.faults.harness.servers import Databases, run_sql


@dataclass(frozen=True)
class Corruption:
    """A planted one: `still` is a query on `database` that answers while it is there."""

    key: int
    database: str
    form: str
    still: str


@dataclass
class Corruptor:
    """Plants corruptions and remembers them."""

    file: Path
    databases: Databases
    journal: Journal
    rng: random.Random
    planted: list[Corruption] = field(default_factory=list)
    found: int = 0
    healed: int = 0
    touched: set[int] = field(default_factory=set)
    missed: list[str] = field(default_factory=list)

    def plant(self, forms: Sequence[str]) -> None:
        """Change a row in each of these forms; only while the file is the truth."""
        for form in forms:
            self._plant_one(form, len(self.planted) + self.found + self.healed)

    def _plant_one(self, name: str, number: int) -> None:
        database, change, still = FORMS[name]
        keys = [
            row[0] for row in run_sql(self.databases.user_db, "SELECT id FROM users WHERE status = 'active'")
        ]
        if not keys:
            return
        values = {"key": self.rng.choice(keys), "n": 10_000_000 + number}
        if _change(getattr(self.databases, database), change.format(**values)):
            key = values["n"] if name.startswith("extra") else values["key"]
            self.touched.add(key)
            self.planted.append(Corruption(key, database, name, still.format(**values)))
            self.journal.note("planted", key=key, form=name)

    def account(self) -> None:
        """Verify has just found all well: every corruption must have been found before, or be overwritten by now."""
        found = {row[0] for row in run_sql(self.databases.migration_db, "SELECT key FROM differences")}
        for one in self.planted:
            if one.key in found:
                self.found += 1
            elif self._is_there(one):
                self.missed.append(f"verify has not found the {one.form} of user {one.key}")
            else:
                self.healed += 1
        self.planted.clear()

    def _is_there(self, one: Corruption) -> bool:
        """Whether it is still what was planted, beyond the moments that an applier needs to write over it."""
        deadline = time.monotonic() + 3.0
        while run_sql(getattr(self.databases, one.database), one.still):
            if one.form.startswith("missing") and one.key not in rows_of_file(self.file):
                return False
            if time.monotonic() > deadline:
                return True
            time.sleep(0.02)
        return False


def some_forms(rng: random.Random, count: int) -> list[str]:
    """So many forms of a corruption."""
    return [rng.choice(sorted(FORMS)) for _ in range(count)]


def _change(url: str, statement: str) -> bool:
    """Carry out a statement past capture and fence; False when a constraint stands against it."""
    try:
        return bool(run_sql(url, f"SET LOCAL migration.applying = 'on'; {statement} RETURNING 1"))
    except psycopg2.IntegrityError:
        return False


_USER, _AUTH = "user_db", "auth_db"
FORMS: dict[str, tuple[str, str, str]] = {
    "other name": (_USER, "UPDATE users SET name = 'corrupt {n}' WHERE id = {key}",
     "SELECT 1 FROM users WHERE id = {key} AND name = 'corrupt {n}'"),
    "other email": (_USER, "UPDATE users SET email = 'corrupt{n}@example.com' WHERE id = {key}",
     "SELECT 1 FROM users WHERE id = {key} AND email = 'corrupt{n}@example.com'"),
    "email of somebody to come": (
        _USER,
        "UPDATE users SET updated_at = '1999-01-02', email = (SELECT address FROM generate_series(0, 39) AS n,"
        " LATERAL (SELECT 'user' || n || '@example.com') AS pool (address) WHERE NOT EXISTS"
        " (SELECT FROM users AS other WHERE other.email = address) LIMIT 1) WHERE id = {key}",
        "SELECT 1 FROM users WHERE id = {key} AND updated_at = '1999-01-02'",
    ),
    "other date": (_USER, "UPDATE users SET created_at = '1999-01-01 00:00:00' WHERE id = {key}",
     "SELECT 1 FROM users WHERE id = {key} AND created_at = '1999-01-01 00:00:00'"),
    "other source of a date": (_USER, "UPDATE users SET created_at_source = 't:corrupt {n}' WHERE id = {key}",
     "SELECT 1 FROM users WHERE id = {key} AND created_at_source = 't:corrupt {n}'"),
    "status": (_USER, "UPDATE users SET status = 'pending', pending_since = 'infinity' WHERE id = {key}",
     "SELECT 1 FROM users WHERE id = {key} AND status = 'pending'"),
    "missing user": (_USER, "DELETE FROM users WHERE id = {key}",
     "SELECT 1 WHERE NOT EXISTS (SELECT FROM users WHERE id = {key})"),
    "extra user": (_USER, "INSERT INTO users (id, email) VALUES ({n}, 'extra{n}@example.com')",
     "SELECT 1 FROM users WHERE id = {n}"),
    "other hash": (_AUTH, "UPDATE user_credentials SET password_hash = 'corrupt {n}' WHERE user_id = {key}",
     "SELECT 1 FROM user_credentials WHERE user_id = {key} AND password_hash = 'corrupt {n}'"),
    "other salt": (_AUTH, "UPDATE user_credentials SET salt = 'corrupt {n}' WHERE user_id = {key}",
     "SELECT 1 FROM user_credentials WHERE user_id = {key} AND salt = 'corrupt {n}'"),
    "missing credential": (_AUTH, "DELETE FROM user_credentials WHERE user_id = {key}",
     "SELECT 1 WHERE NOT EXISTS (SELECT FROM user_credentials WHERE user_id = {key})"),
    "extra credential": (_AUTH, "INSERT INTO user_credentials (user_id, password_hash) VALUES ({n}, 'corrupt')",
     "SELECT 1 FROM user_credentials WHERE user_id = {n}"),
}  # fmt: skip
"""Form: database, change, and the query that answers while it is there. {key}: a user; {n}: a number of its own."""
