"""The legacy server and an operator's shell, as writers on the file: every form of a statement that SQLite has.

Each transaction notes what it did to which row before it commits, by comparing the table before and after it, so the
victims of REPLACE are known exactly.
"""

import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.faults.harness.journal import Journal
from tests.faults.harness.legacy import FIELDS, Row, email

Form = Callable[[sqlite3.Connection, random.Random, str], None]


def write_for(
    path: Path, journal: Journal, role: str, rng: random.Random, seconds: float, pause: float
) -> None:
    """Write for so long, on one connection that is opened before anything is captured and never again."""
    file = sqlite3.connect(path, isolation_level=None, timeout=0.05)
    deadline = time.monotonic() + seconds
    number = 0
    while time.monotonic() < deadline:
        number += 1
        transact(file, journal, f"{role}/{number}", rng)
        time.sleep(rng.random() * pause)
    file.close()


def write_once(path: Path, journal: Journal, op: str, rng: random.Random) -> None:
    """One transaction on a connection of its own; whoever holds the file is not waited for."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0.0)) as file:
        transact(file, journal, op, rng)


def transact(file: sqlite3.Connection, journal: Journal, op: str, rng: random.Random) -> None:
    """One transaction in a form that the dice choose, noted as `op`."""
    form = rng.choice(FORMS)
    journal.note("begin", op=op, form=form.__name__)
    try:
        file.execute("BEGIN IMMEDIATE")
        before = _rows(file)
        form(file, rng, op)
        journal.note("effects", op=op, rows=changes(before, _rows(file)))
        file.execute("ROLLBACK" if form is rolled_back else "COMMIT")
    except sqlite3.Error as error:  # the fence, a lock, a taken email: nothing of it is in the file
        if file.in_transaction:
            file.execute("ROLLBACK")
        journal.note("refused", op=op, error=f"{type(error).__name__}: {error}"[:90])
    else:
        journal.note("refused" if form is rolled_back else "ack", op=op)


def _rows(file: sqlite3.Connection) -> dict[int, Row]:
    return {
        row[0]: row[1:] for row in file.execute("SELECT id, email, password, name, created_at FROM users")
    }


def changes(before: dict[int, Row], after: dict[int, Row]) -> list[list[object]]:
    """[key, null] for a row that went, [key, {field: value}] for what became different."""
    found: list[list[object]] = [[key, None] for key in before.keys() - after.keys()]
    for key, row in after.items():
        old = before.get(key, (object(),) * len(FIELDS))
        new = {name: value for name, value, was in zip(FIELDS, row, old, strict=True) if value != was}
        if new:
            found.append([key, new])
    return found


def _a_key(file: sqlite3.Connection, rng: random.Random) -> int:
    keys = [row[0] for row in file.execute("SELECT id FROM users")]
    return int(rng.choice(keys)) if keys else 1


def insert(file: sqlite3.Connection, rng: random.Random, op: str) -> None:
    file.execute(
        "INSERT INTO users (email, password, name) VALUES (?, ?, ?)",
        (email(rng.randrange(99)), f"hash {op}", op),
    )


def insert_with_key(file: sqlite3.Connection, rng: random.Random, op: str) -> None:
    file.execute(
        "INSERT INTO users (id, email, password, name) VALUES (?, ?, ?, ?)",
        (rng.choice((rng.randint(1, 70), -rng.randint(1, 5))), email(rng.randrange(99)), f"hash {op}", op),
    )


def insert_or_ignore(file: sqlite3.Connection, rng: random.Random, op: str) -> None:
    file.execute(
        "INSERT OR IGNORE INTO users (email, password, name) VALUES (?, ?, ?)",
        (email(rng.randrange(99)), f"hash {op}", op),
    )


def insert_or_replace(file: sqlite3.Connection, rng: random.Random, op: str) -> None:
    file.execute(
        "INSERT OR REPLACE INTO users (email, password, name) VALUES (?, ?, ?)",
        (email(rng.randrange(99)), f"hash {op}", op),
    )


def replace_by_key(file: sqlite3.Connection, rng: random.Random, op: str) -> None:
    file.execute(
        "REPLACE INTO users (id, email, password, name) VALUES (?, ?, ?, ?)",
        (_a_key(file, rng), email(rng.randrange(99)), f"hash {op}", op),
    )


def upsert(file: sqlite3.Connection, rng: random.Random, op: str) -> None:
    file.execute(
        "INSERT INTO users (email, password, name) VALUES (?, ?, ?)"
        " ON CONFLICT (email) DO UPDATE SET name = excluded.name, password = excluded.password",
        (email(rng.randrange(99)), f"hash {op}", op),
    )


def update(file: sqlite3.Connection, rng: random.Random, op: str) -> None:
    file.execute("UPDATE users SET name = ? WHERE id = ?", (op, _a_key(file, rng)))


def update_password(file: sqlite3.Connection, rng: random.Random, op: str) -> None:
    file.execute("UPDATE users SET password = ? WHERE id = ?", (f"hash {op}", _a_key(file, rng)))


def update_many(file: sqlite3.Connection, rng: random.Random, op: str) -> None:
    file.execute("UPDATE users SET name = ? WHERE id % 5 = ?", (op, rng.randrange(5)))


def update_or_replace(file: sqlite3.Connection, rng: random.Random, op: str) -> None:
    file.execute(
        "UPDATE OR REPLACE users SET email = ?, name = ? WHERE id = ?",
        (email(rng.randrange(99)), op, _a_key(file, rng)),
    )


def move_key(file: sqlite3.Connection, rng: random.Random, op: str) -> None:
    file.execute(
        "UPDATE OR REPLACE users SET id = ?, name = ? WHERE id = ?",
        (rng.randint(1, 80), op, _a_key(file, rng)),
    )


def delete(file: sqlite3.Connection, rng: random.Random, op: str) -> None:
    file.execute("DELETE FROM users WHERE id = ?", (_a_key(file, rng),))


def delete_and_insert_again(file: sqlite3.Connection, rng: random.Random, op: str) -> None:
    key = _a_key(file, rng)
    row = file.execute("SELECT email, password FROM users WHERE id = ?", (key,)).fetchone()
    file.execute("DELETE FROM users WHERE id = ?", (key,))
    if row:
        file.execute("INSERT INTO users (id, email, password, name) VALUES (?, ?, ?, ?)", (key, *row, op))


def swap_emails(file: sqlite3.Connection, rng: random.Random, op: str) -> None:
    one, two = _a_key(file, rng), _a_key(file, rng)
    emails = dict(file.execute("SELECT id, email FROM users WHERE id IN (?, ?)", (one, two)).fetchall())
    if one != two:
        file.execute("UPDATE users SET email = ? WHERE id = ?", (f"between@{op}", one))
        file.execute("UPDATE users SET email = ?, name = ? WHERE id = ?", (emails[one], op, two))
        file.execute("UPDATE users SET email = ?, name = ? WHERE id = ?", (emails[two], op, one))


def partly_rolled_back(file: sqlite3.Connection, rng: random.Random, op: str) -> None:
    file.execute("UPDATE users SET name = ? WHERE id = ?", (op, _a_key(file, rng)))
    file.execute("SAVEPOINT half")
    file.execute("DELETE FROM users WHERE id = ?", (_a_key(file, rng),))
    file.execute("ROLLBACK TO half")
    file.execute("RELEASE half")


def rolled_back(file: sqlite3.Connection, rng: random.Random, op: str) -> None:
    file.execute("UPDATE users SET name = ? WHERE id = ?", (op, _a_key(file, rng)))


FORMS: tuple[Form, ...] = (
    insert,
    insert_with_key,
    insert_or_ignore,
    insert_or_replace,
    replace_by_key,
    upsert,
    update,
    update,
    update_password,
    update_many,
    update_or_replace,
    move_key,
    delete,
    delete_and_insert_again,
    swap_emails,
    partly_rolled_back,
    rolled_back,
)
