"""A database's schema as an Alembic history inside of the package that owns it, run through Flask-Migrate.

A package has `migrations/env.py`, which calls `run_in_environment()`, revisions in `migrations/versions/`,
and a module `manage` that calls `main("package", url)`: `python -m package.manage upgrade`.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import flask_migrate  # type: ignore[import-untyped]
from alembic import context
from flask import Flask, current_app
from sqlalchemy import MetaData, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from service_kit.settings import SettingsError

_UPGRADE_LOCK = 0x4D470002
_URL = "SCHEMA_DATABASE_URL"


class _Metadata:
    """What Flask-Migrate asks of a Flask-SQLAlchemy object; our revisions are written by hand."""

    metadata = MetaData()


def main(package: str, url: Callable[[], str], arguments: Sequence[str] | None = None) -> int:
    """Run `upgrade`, `downgrade`, `current` or `history` on the history of `package`; answers the exit code.

    `url` gives the database's SQLAlchemy address. `arguments` default to the command line's.
    """
    commands = ("upgrade", "downgrade", "current", "history")
    parser = argparse.ArgumentParser(prog=f"python -m {package}.manage")
    parser.add_argument("command", choices=commands)
    parser.add_argument("revision", nargs="?", help="upgrade: default head; downgrade: default one step")
    given = parser.parse_args(arguments)
    revision = [given.revision] if given.revision else []
    try:
        with _application(package, url()).app_context():
            getattr(flask_migrate, given.command)(None, *revision)
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    except OperationalError as error:
        print(f"the database could not be used: {error.orig}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def run_in_environment() -> None:
    """The whole of an `env.py`: one transaction for all revisions, one process at a time per database."""
    if context.is_offline_mode():
        raise RuntimeError("revisions run against a database; there is no offline mode")
    engine = create_engine(current_app.config[_URL], poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")
        context.configure(connection=connection, target_metadata=_Metadata.metadata)
        with context.begin_transaction():
            context.run_migrations()


def _application(package: str, url: str) -> Flask:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise LookupError(f"there is no package {package}")
    app = Flask(package)
    app.config[_URL] = url
    flask_migrate.Migrate(app, _Metadata(), directory=str(Path(spec.origin).parent / "migrations"))
    return app
