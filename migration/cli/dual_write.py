"""`flask migration dual-write`."""

import click

from migration.answer import WARNING, Answer, Issue
from migration.cli.runtime import json_option, run
from migration.drain import drain
from migration.dual_write import Started, resync, start
from migration.session import Session

_SAYS = {
    "installed": "Every change of the file is captured from now on, whoever makes it.",
    "present": "Capture was installed already, and it is whole.",
    "repaired": "Capture was not whole and has been installed again. Changes may have been missed in between.",
    "resynced": "The file is taken as it stands. Earlier changes may not have reached PostgreSQL.",
}


@click.command("dual-write")
@click.option(
    "--resync", "take_file", is_flag=True, help="After a file or a database came back from a backup."
)
@json_option
def command(take_file: bool, as_json: bool) -> None:
    """Capture every change of the legacy file and bring it to PostgreSQL."""
    run("dual-write", lambda session: _work(session, take_file), as_json, keep=True)


def _work(session: Session, take_file: bool) -> Answer:
    started: Started = resync(session) if take_file else start(session)
    progress = drain(session)
    data = {"capture": started.how, "epoch": started.state.epoch, "drained": progress.reached.value}
    answer = Answer("dual-write", True, "", data | {"says": _SAYS[started.how]}, started.issues)
    if started.how in ("repaired", "resynced"):
        message = "What was copied and verified before counts no more."
        answer.issues.append(Issue("verify_again", WARNING, message, "flask migration verify --repair"))
    answer.next_steps = ["flask migration copy"]
    return answer
