"""What a command or a task of the toolkit works with: settings, the legacy file and the three databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine

from migration.answer import refused
from migration.raw_file import RawFile
from migration.sides import AUTH, USER, Side
from service_kit.db import engine_for
from service_kit.settings import Settings


@dataclass(frozen=True)
class Session:
    """Connections are made when they are needed first."""

    settings: Settings
    file: RawFile
    user: Engine
    auth: Engine
    migration: Engine

    @property
    def targets(self) -> dict[Side, Engine]:
        """The two service databases, in the order in which they are written."""
        return {USER: self.user, AUTH: self.auth}

    def close(self) -> None:
        """Close every connection of this thread and of the pools."""
        self.file.close()
        for engine in (self.user, self.auth, self.migration):
            engine.dispose()


@contextmanager
def open_session(settings: Settings) -> Iterator[Session]:
    """A session that ends with the block.

    Raises:
        Refused: no legacy file is set, so there is nothing to migrate.
    """
    if not settings.legacy_sqlite_path:
        raise refused(
            "no_legacy_file",
            "LEGACY_SQLITE_PATH is not set: there is no file to migrate.",
            "Set it to the path of the legacy server's SQLite file.",
        )
    session = Session(
        settings,
        RawFile(settings.legacy_sqlite_path),
        engine_for(settings.user_database_url, name="migration", statement_seconds=60, lock_seconds=20),
        engine_for(settings.auth_database_url, name="migration", statement_seconds=60, lock_seconds=20),
        engine_for(settings.migration_database_url, name="migration"),
    )
    try:
        yield session
    finally:
        session.close()
