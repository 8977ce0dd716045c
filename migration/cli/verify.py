"""`flask migration verify`: every row and column on both sides, down to the rows that differ, and their repair."""

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from migration import verify
from migration.answer import ERROR, WARNING, Answer, Issue, refused
from migration.cli.runtime import json_option, refuse_after_the_cutover, run
from migration.compare import Difference
from migration.follow_pass import follow
from migration.progress import display
from migration.session import Session
from service_kit.truth.legacy_file import DUAL_WRITE, LEGACY

MOST_PASSES = 4
SHOWN = 50
_BEFORE = {LEGACY: "flask migration dual-write", DUAL_WRITE: "flask migration copy"}


@click.command("verify")
@click.option(
    "--repair", is_flag=True, help="Bring rows that differ to what the file holds, then verify again."
)
@json_option
def command(repair: bool, as_json: bool) -> None:
    """Compare every row and column of the file with both databases. Live traffic raises no false alarm."""
    run("verify", lambda session: _verify(session, repair, as_json), as_json, _show, moves=True)


def _verify(session: Session, repair: bool, as_json: bool) -> Answer:
    refuse_after_the_cutover(session, "PostgreSQL is the truth; verify has its turn before a cutover.")
    phase = session.file.state().phase
    if phase in _BEFORE:
        raise refused(
            "not_its_turn", f"The phase is {phase}: there is no whole copy to verify.", "", _BEFORE[phase]
        )
    repaired = 0
    for number in range(1, MOST_PASSES + 1):
        plan = follow(session, verify.begin(session), verify.finish, display(as_json))
        verdict = verify.verdict(session.migration, plan)
        if verdict.clean or not repair or number == MOST_PASSES:
            break
        repaired += verify.mend(session, plan)
    found = verify.listed(session.migration, plan.id, SHOWN)
    seconds = (plan.finished_at - plan.created_at).total_seconds() if plan.finished_at else 0.0
    data = {
        "plan": plan.id,
        "rows": verdict.rows,
        "rejected": verdict.rejected,
        "compared_again": verdict.compared_again,
        "differences": verdict.differences,
        "differing_keys": verdict.keys,
        "repaired": repaired,
        "passes": number,
        "seconds": round(seconds, 3),
        "listed": [vars(one) for one in found],
    }
    answer = Answer("verify", verdict.clean, "", data)
    _judge(answer, verdict, repaired, repair)
    return answer


def _judge(answer: Answer, verdict: verify.Verdict, repaired: int, repair: bool) -> None:
    if repaired:
        message = f"{repaired} rows were brought to what the file holds."
        answer.issues.append(
            Issue("repaired", WARNING, message, "Find out who changed them behind the appliers.")
        )
    if verdict.clean:
        answer.next_steps = ["flask migration cutover --dry-run"]
        return
    message = f"{verdict.keys} rows differ, in {verdict.differences} places."
    remedy = "Somebody keeps changing the databases behind the appliers." if repair else "Repair them."
    if verdict.keys >= verify.MOST_DIFFERENCES:
        remedy = "So many that the pass stopped looking: flask migration copy --again first."
    answer.issues.append(Issue("differences", ERROR, message, remedy))
    answer.next_steps = ["flask migration verify --repair"]


def _show(console: Console, answer: Answer) -> None:
    for name, value in answer.data.items():
        if name != "listed":
            console.print(f"  {name.replace('_', ' ')}: {value}", markup=False)
    if answer.data.get("listed"):
        console.print(
            _table([Difference(**row) for row in answer.data["listed"]], answer.data["differences"])
        )


def _table(found: list[Difference], total: int) -> Table:
    title = f"the first {len(found)} of {total} differences" if total > len(found) else "differences"
    table = Table("id", "database", "column", "what", "file", "database has", title=title)
    for one in found:
        cells = (
            str(one.key),
            one.database,
            one.column,
            one.kind,
            _text(one.source, one),
            _text(one.target, one),
        )
        table.add_row(*map(escape, cells))
    return table


def _text(value: str | None, one: Difference) -> str:
    return repr(value) if value is not None else "NULL" if one.kind == "changed" else ""
