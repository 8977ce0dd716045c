"""`flask migration finish`."""

import click

from migration.answer import Answer
from migration.cli.runtime import json_option, run
from migration.finish import finish
from migration.history import STARTED, record
from migration.session import Session


@click.command("finish")
@json_option
def command(as_json: bool) -> None:
    """End the migration: PostgreSQL alone, no way back. The old file stays, and stays fenced."""
    run("finish", _work, as_json, keep=True, moves=True)


def _work(session: Session) -> Answer:
    record(session.migration, "finish", STARTED, session.file.state())
    done = finish(session)
    steps = ["Start the services with LEGACY_SQLITE_PATH empty when the old server is gone for good."]
    return Answer("finish", True, "", {"epoch": done.epoch, "report": done.report}, done.issues, steps)
