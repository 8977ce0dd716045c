"""`flask migration pause`."""

import click

from migration.answer import Answer
from migration.cli.runtime import json_option, refuse_after_the_cutover, run
from migration.history import set_pause
from migration.session import Session


@click.command("pause")
@json_option
def command(as_json: bool) -> None:
    """Stop copying and verifying after the chunks at hand. Capture and drains go on."""
    run("pause", _work, as_json, keep=True)


def _work(session: Session) -> Answer:
    refuse_after_the_cutover(session, "nothing is copied or verified now.")
    control = set_pause(session.migration, True)
    data = {"paused_at": control.paused_at, "paused_by": control.paused_by}
    return Answer("pause", True, "", data, next_steps=["flask migration resume"])
