"""`flask migration rollback`."""

from dataclasses import asdict

import click

from migration.answer import Answer, refused
from migration.cli.runtime import json_option, run
from migration.follow_up import follow_all
from migration.history import STARTED, record, unfinished
from migration.rollback import complete_rollback, prepare_rollback, roll_back
from migration.session import Session
from service_kit.truth.legacy_file import FINISHED, FileState


@click.command("rollback")
@json_option
def command(as_json: bool) -> None:
    """Make the legacy file the truth again, with every write that PostgreSQL has taken."""
    run("rollback", _work, as_json, keep=True, moves=True)


def _work(session: Session) -> Answer:
    state = session.file.state()
    if state.file_is_truth:
        return _complete(session, state)
    if state.phase == FINISHED:
        raise refused(
            "not_its_turn",
            "The phase is finished: capture is gone, there is no way back.",
            "",
            "flask migration status",
        )
    follow_all(session, state.epoch)
    prepare_rollback(session)
    record(session.migration, "rollback", STARTED, state)
    done = roll_back(session, state.epoch, session.settings.cutover_budget_ms)
    data = {key: value for key, value in asdict(done).items() if key != "issues"}
    return Answer("rollback", True, "", data, done.issues, ["flask migration cutover"])


def _complete(session: Session, state: FileState) -> Answer:
    """A rollback that was killed after its commit; otherwise there is nothing to roll back."""
    if not unfinished(session.migration, "rollback"):
        raise refused(
            "not_its_turn",
            f"The phase is {state.phase}: the file is the truth, there is nothing to roll back.",
            "",
            "flask migration status",
        )
    issues = complete_rollback(session, state.epoch)
    return Answer("rollback", True, "", {"completed": True}, issues, ["flask migration cutover"])
