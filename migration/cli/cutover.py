"""`flask migration cutover`."""

from dataclasses import asdict

import click

from migration.answer import Answer, Refused, refused
from migration.capture import look, raise_fence
from migration.cli.runtime import json_option, run
from migration.cutover import Prepared, over_budget, prepare, switch
from migration.follow_up import follow_all
from migration.history import STARTED, record
from migration.progress import Display, display
from migration.regain import regain_verified
from migration.session import Session
from service_kit.truth.legacy_file import COPIED, CUTOVER, DUAL_WRITE, FINISHED, LEGACY, VERIFIED, FileState

_TURN = {
    LEGACY: "flask migration dual-write",
    DUAL_WRITE: "flask migration copy",
    COPIED: "flask migration verify",
    CUTOVER: "flask migration status",
    FINISHED: "flask migration status",
}


@click.command("cutover")
@click.option(
    "--dry-run", is_flag=True, help="Say what would happen and how long writers would wait; change nothing."
)
@json_option
def command(dry_run: bool, as_json: bool) -> None:
    """Make PostgreSQL the truth. Writers wait for a moment, nothing is refused to them."""
    run(
        "cutover",
        lambda session: _work(session, dry_run, display(as_json)),
        as_json,
        keep=not dry_run,
        moves=True,
    )


def _work(session: Session, dry_run: bool, show: Display) -> Answer:
    state = session.file.state()
    after_rollback = state.phase in (DUAL_WRITE, COPIED) and state.epoch >= 2
    if state.phase == CUTOVER and not dry_run:
        return _complete(session, state)
    if after_rollback and not dry_run:
        regain_verified(session, show)
    elif state.phase != VERIFIED and not after_rollback:
        raise refused("not_its_turn", f"The phase is {state.phase}.", "", _TURN[state.phase])
    prepared = prepare(session)
    budget_ms = session.settings.cutover_budget_ms
    if dry_run:
        return _rehearse(prepared, budget_ms)
    record(session.migration, "cutover", STARTED, session.file.state())
    done = switch(session, prepared, budget_ms)
    data = {key: value for key, value in asdict(done).items() if key != "issues"}
    steps = ["flask migration rollback, if something is wrong", "flask migration finish, when nothing is"]
    return Answer("cutover", True, "", data, done.issues, steps)


def _rehearse(prepared: Prepared, budget_ms: int) -> Answer:
    estimate = round(prepared.estimate_ms, 1)
    data = {"estimate_ms": estimate, "budget_ms": budget_ms, "entries_at_last_round": prepared.entries}
    if estimate > budget_ms:
        refusal: Refused = over_budget(f"about {estimate:.0f} ms, the budget is {budget_ms} ms")
        return Answer("cutover", False, "", data, refusal.issues)
    return Answer("cutover", True, "", data, next_steps=["flask migration cutover"])


def _complete(session: Session, state: FileState) -> Answer:
    """A cutover that was killed after its commit, or a fence that somebody has torn down with the table."""
    with session.file.snapshot() as connection:
        fenced = look(connection).fenced
    if not fenced:
        with session.file.exclusive() as connection:
            if look(connection).state.phase == CUTOVER:
                raise_fence(connection)
    issues = follow_all(session, state.epoch)
    data = {"epoch": state.epoch, "already": True, "fence": "present" if fenced else "put up again"}
    return Answer("cutover", True, "", data, issues, ["flask migration finish, or flask migration rollback"])
