"""`flask migration pause`."""

import click

from migration.answer import Answer, refused
from migration.cli.runtime import json_option, run
from migration.history import set_pause
from migration.session import Session
from service_kit.truth.legacy_file import CUTOVER, FINISHED


@click.command("pause")
@json_option
def command(as_json: bool) -> None:
    """Stop copying and verifying after the chunks at hand. Capture and drains go on."""
    run("pause", _work, as_json, keep=True)


def _work(session: Session) -> Answer:
    phase = session.file.state().phase
    if phase in (CUTOVER, FINISHED):
        raise refused(
            "not_its_turn",
            f"The phase is {phase}: nothing is copied or verified now.",
            "",
            "flask migration status",
        )
    control = set_pause(session.migration, True)
    data = {"paused_at": control.paused_at, "paused_by": control.paused_by}
    return Answer("pause", True, "", data, next_steps=["flask migration resume"])
