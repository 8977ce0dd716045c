"""A legacy file, its state, and a write and a read that tell which side took them."""

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, text

from service_kit.truth.legacy_file import LegacyFile
from service_kit.truth.router import Truth


def legacy_file(path: Path) -> LegacyFile:
    """The legacy server's file with one user, before any migration."""
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT UNIQUE NOT NULL,"
            " password TEXT NOT NULL, name TEXT, created_at DATETIME DEFAULT CURRENT_TIMESTAMP);"
            "INSERT INTO users (email, password, name) VALUES ('ann@example.com', 'x', 'file');"
        )
    return LegacyFile(path)


def set_state(file: LegacyFile, epoch: int, phase: str = "cutover") -> None:
    connection = file.open()
    connection.executescript(
        "CREATE TABLE IF NOT EXISTS migration_state (id INTEGER PRIMARY KEY, file_id TEXT, epoch INTEGER,"
        " phase TEXT, applying INTEGER NOT NULL DEFAULT 0);"
        f"INSERT OR REPLACE INTO migration_state VALUES (1, 'f', {epoch}, '{phase}', 0);"
    )
    connection.close()


def write_name(truth: Truth, name: str) -> str:
    """Returns the side that took the write."""

    def on_file(connection: sqlite3.Connection) -> str:
        connection.execute("UPDATE users SET name = ? WHERE id = 1", (name,))
        return "file"

    def on_database(connection: Connection) -> str:
        connection.execute(
            text(
                "INSERT INTO users (id, email, name) VALUES (1, 'ann@example.com', :name)"
                " ON CONFLICT (id) DO UPDATE SET name = :name"
            ),
            {"name": name},
        )
        return "database"

    return truth.write(on_file, on_database)


def read_side(truth: Truth) -> str:
    return truth.read(lambda _: "file", lambda _: "database")
