"""`flask migration copy`: the bulk copy, done by the workers, watched here."""

import click

from migration import copy, indexes
from migration import plan as plans
from migration.answer import Answer, refused
from migration.cli.runtime import json_option, run
from migration.follow_pass import follow
from migration.plan import COPY, Plan
from migration.progress import display
from migration.session import Session
from migration.stamp import move_phase
from service_kit.truth.legacy_file import COPIED, DUAL_WRITE, LEGACY, VERIFIED


@click.command("copy")
@click.option("--again", is_flag=True, help="Copy every row again, although a former copy stands.")
@json_option
def command(again: bool, as_json: bool) -> None:
    """Copy all users into both databases. May be killed and run again: it goes on where it was."""
    run("copy", lambda session: _copy(session, again, as_json), as_json, moves=True)


def _copy(session: Session, again: bool, as_json: bool) -> Answer:
    phase = session.file.state().phase
    unfinished = plans.running(session.migration)
    if phase in (COPIED, VERIFIED):
        if not again:
            return _already(session, unfinished)
        move_phase(session.file, session.file.state().epoch, (COPIED, VERIFIED), DUAL_WRITE)
        phase = session.file.state().phase
    if phase != DUAL_WRITE:
        step = "flask migration dual-write" if phase == LEGACY else "flask migration status"
        raise refused("not_its_turn", f"The phase is {phase}: there is nothing to copy now.", "", step)
    plan = copy.begin(session, again=again)
    if plan is None:
        copy.stamp_copied(session, None)
        return _answer(
            session, None, note="an earlier copy of this file stands; changes since then are applied"
        )
    plan = follow(session, plan, copy.finish, display(as_json))
    return _answer(session, plan)


def _already(session: Session, unfinished: Plan | None) -> Answer:
    """Copied before; what a killed command has left undone behind the stamp is done now."""
    if unfinished is not None and unfinished.kind == COPY:
        copy.finish(session, unfinished)
    indexes.restore(session.user)
    return _answer(session, None, note="copied already")


def _answer(session: Session, plan: Plan | None, note: str | None = None) -> Answer:
    plan = plan or plans.latest(session.migration, COPY, session.file.state().file_id or "")
    data: dict[str, object] = {"note": note} if note else {}
    if plan is not None and plan.finished_at is not None:
        seconds = (plan.finished_at - plan.created_at).total_seconds()
        data |= {"plan": plan.id, "rows": plan.rows, "seconds": round(seconds, 3)}
    return Answer("copy", True, "", data, next_steps=["flask migration verify"])
