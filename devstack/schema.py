"""Brings a database to its newest schema by running the Alembic history of the package that owns it."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from devstack.errors import StackError

PROJECT = Path(__file__).resolve().parents[1]

OWNERS = {"user_db": "user_app", "auth_db": "auth_app", "migration_db": "migration"}
"""The package whose history makes each database."""


def upgrade(database: str, environ: Mapping[str, str]) -> None:
    """Runs the history of `database` (a key of `OWNERS`) up to its head, with the settings in `environ`.

    Raises:
        StackError: with the command's output, when it fails.
    """
    command = [sys.executable, "-m", f"{OWNERS[database]}.manage", "upgrade"]
    done = subprocess.run(
        command, env=dict(environ), cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StackError(f"the schema of {database} could not be made:\n{done.stdout}{done.stderr}".rstrip())
