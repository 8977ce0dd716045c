"""Services and operator as a test plays them: writes through the router, moves of the truth through the toolkit."""

import sqlite3
from dataclasses import dataclass

from sqlalchemy import Connection, text

from migration.capture import install
from migration.cutover import Switched, prepare, switch
from migration.drain import drain
from migration.dual_write import start
from migration.rollback import RolledBack, prepare_rollback, roll_back
from migration.session import Session
from migration.stamp import move_phase
from service_kit.truth.legacy_file import COPIED, DUAL_WRITE, VERIFIED, LegacyFile
from service_kit.truth.router import Truth
from tests.integration.migration_protocol.support import Legacy

BUDGET_MS = 10_000  # the machine of a test may be slow; the budget itself has tests of its own


@dataclass
class Services:
    """The user service and the auth service, each with its own database."""

    user: Truth
    auth: Truth

    def rename(self, key: int, name: str) -> str:
        """Profile update; returns the side that took it."""

        def on_file(connection: sqlite3.Connection) -> str:
            connection.execute("UPDATE users SET name = ? WHERE id = ?", (name, key))
            return "file"

        def on_database(connection: Connection) -> str:
            connection.execute(text("UPDATE users SET name = :n WHERE id = :k"), {"n": name, "k": key})
            return "database"

        return self.user.write(on_file, on_database)

    def change_password(self, key: int, password_hash: str) -> str:
        """Password change; returns the side that took it."""

        def on_file(connection: sqlite3.Connection) -> str:
            connection.execute("UPDATE users SET password = ? WHERE id = ?", (password_hash, key))
            return "file"

        def on_database(connection: Connection) -> str:
            connection.execute(
                text("UPDATE user_credentials SET password_hash = :h WHERE user_id = :k"),
                {"h": password_hash, "k": key},
            )
            return "database"

        return self.auth.write(on_file, on_database)

    def change_email(self, key: int, email: str) -> str:
        """Email change; returns the side that took it."""

        def on_file(connection: sqlite3.Connection) -> str:
            connection.execute("UPDATE users SET email = ? WHERE id = ?", (email, key))
            return "file"

        def on_database(connection: Connection) -> str:
            connection.execute(text("UPDATE users SET email = :e WHERE id = :k"), {"e": email, "k": key})
            return "database"

        return self.user.write(on_file, on_database)

    def register_pending(self, name: str) -> int:
        """First half of a registration in PostgreSQL; returns the id."""

        def on_database(connection: Connection) -> int:
            found = connection.execute(
                text(
                    "INSERT INTO users (email, name, status, pending_since)"
                    " VALUES (:e, :n, 'pending', now()) RETURNING id"
                ),
                {"e": f"{name}@example.com", "n": name},
            )
            key: int = found.scalar_one()
            return key

        return self.user.write(_never, on_database)

    def put_credential(self, key: int, password_hash: str) -> bool:
        """Second half; False when the id was given up."""

        def on_database(connection: Connection) -> bool:
            found = connection.execute(
                text(
                    "INSERT INTO user_credentials (user_id, password_hash) SELECT :k, :h"
                    " WHERE NOT EXISTS (SELECT FROM credentials_given_up WHERE user_id = :k)"
                ),
                {"k": key, "h": password_hash},
            )
            return bool(found.rowcount)

        return self.auth.write(_never, on_database)

    def activate(self, key: int) -> None:
        """Third step: the account can be seen."""

        def on_database(connection: Connection) -> None:
            connection.execute(
                text("UPDATE users SET status = 'active', pending_since = NULL WHERE id = :k"), {"k": key}
            )

        self.user.write(_never, on_database)

    def register(self, name: str) -> int:
        """A whole registration in PostgreSQL."""
        key = self.register_pending(name)
        assert self.put_credential(key, f"hash of {name}")
        self.activate(key)
        return key


class WrongSide(Exception):
    """The step was written for PostgreSQL and the file is the truth."""


def _never(_: sqlite3.Connection) -> int:
    raise WrongSide


def services_of(session: Session, undo_after: float = 5.0) -> Services:
    """Fresh service processes, so to speak: nothing is remembered of the side."""
    file = LegacyFile(session.file.path)
    return Services(
        Truth(file, session.user, undo_after=undo_after), Truth(file, session.auth, undo_after=undo_after)
    )


def dual_write(session: Session, legacy: Legacy) -> None:
    """Capture on, and the old rows over on the other side."""
    start(session)
    install(session.file)
    legacy.run("UPDATE users SET name = name")
    drain(session)


def declare_verified(session: Session) -> None:
    """What copy and verify do at their end."""
    epoch = session.file.state().epoch
    assert move_phase(session.file, epoch, (DUAL_WRITE, COPIED), VERIFIED) is None


def cut_over(session: Session, budget_ms: int = BUDGET_MS) -> Switched:
    """verified -> cutover."""
    declare_verified(session)
    return switch(session, prepare(session), budget_ms)


def go_back(session: Session, budget_ms: int = BUDGET_MS) -> RolledBack:
    """cutover -> dual_write."""
    prepare_rollback(session)
    return roll_back(session, session.file.state().epoch, budget_ms)
