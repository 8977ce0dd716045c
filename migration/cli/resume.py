"""`flask migration resume`."""

import click

from migration.answer import Answer
from migration.cli.runtime import json_option, run
from migration.history import set_pause
from migration.session import Session


@click.command("resume")
@json_option
def command(as_json: bool) -> None:
    """Go on after `pause`."""
    run("resume", _work, as_json, keep=True)


def _work(session: Session) -> Answer:
    set_pause(session.migration, False)
    return Answer("resume", True, "", {"paused": False}, next_steps=["flask migration status --watch"])
