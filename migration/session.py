"""What a command or a task of the toolkit works with: settings, the legacy file and the three databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from migration.answer import refused
from migration.raw_file import RawFile
from migration.sides import AUTH, USER, Side
from service_kit.db import engine_for
from service_kit.settings import Settings

_PATIENT_SECONDS = 60.0


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
        _engine(settings.user_database_url, _PATIENT_SECONDS),
        _engine(settings.auth_database_url, _PATIENT_SECONDS),
        _engine(settings.migration_database_url, _PATIENT_SECONDS),
    )
    try:
        yield session
    finally:
        session.close()


@contextmanager
def impatient(session: Session, seconds: float) -> Iterator[Session]:
    """The same session with connections to the service databases on which nothing waits longer than `seconds`."""
    user = _engine(session.settings.user_database_url, seconds)
    auth = _engine(session.settings.auth_database_url, seconds)
    try:
        yield replace(session, user=user, auth=auth)
    finally:
        user.dispose()
        auth.dispose()


def warm_up(session: Session) -> None:
    """Connect to the service databases now, so that clients need not wait for it later."""
    for engine in session.targets.values():
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")


def _engine(url: str, seconds: float) -> Engine:
    return engine_for(url, name="migration", statement_seconds=seconds, lock_seconds=seconds)
