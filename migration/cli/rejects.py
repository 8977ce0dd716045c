"""`flask migration rejects`: the rows that PostgreSQL cannot hold as they are, one by one."""

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from migration import rejects
from migration.answer import WARNING, Answer, Issue, refused
from migration.cli.runtime import json_option, refuse_after_the_cutover, run
from migration.rejects import Rejected
from migration.session import Session

SHOWN = 200


@click.group("rejects", invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the rows that stay behind, with column, reason and bytes; or `retry`, or `accept` them."""
    if context.invoked_subcommand is None:
        run("rejects", _list, as_json, _show)


@command.command("retry")
@click.argument("ids", nargs=-1, type=int)
@json_option
def retry(ids: tuple[int, ...], as_json: bool) -> None:
    """Read rows IDS (default: all rejects) again, after they were mended in the file."""
    run("rejects retry", lambda session: _retry(session, ids), as_json, _show, moves=True)


@command.command("accept")
@click.argument("ids", nargs=-1, type=int)
@click.option("--all", "count", type=int, help="Accept every open one, of which there are exactly this many.")
@json_option
def accept(ids: tuple[int, ...], count: int | None, as_json: bool) -> None:
    """Agree to leave the rows IDS behind at the cutover."""
    if bool(ids) == (count is not None):
        raise click.UsageError("name the ids, or --all with the number of open rejects")
    run("rejects accept", lambda session: _accept(session, ids, count), as_json, _show)


def _refuse_after_the_cutover(session: Session) -> None:
    """The rows were left behind then."""
    refuse_after_the_cutover(session, "PostgreSQL is the truth, the file's rows are not read any more.")


def _list(session: Session) -> Answer:
    return _answer("rejects", rejects.listed(session))


def _retry(session: Session, ids: tuple[int, ...]) -> Answer:
    _refuse_after_the_cutover(session)
    left = rejects.retry(session, ids)
    answer = _answer("rejects retry", left)
    if left:
        message = f"{len(left)} rows are rejected as before."
        answer.issues.append(
            Issue("still_rejected", WARNING, message, "Mend the column that is named, in the file.")
        )
    return answer


def _accept(session: Session, ids: tuple[int, ...], count: int | None) -> Answer:
    _refuse_after_the_cutover(session)
    if count is not None:
        open_ones = [one.key for one in rejects.listed(session) if one.accepted_at is None]
        if len(open_ones) != count:
            raise refused(
                "other_count", f"{len(open_ones)} rejects are open, not {count}.", "Look at them first."
            )
        ids = tuple(open_ones)
    fresh = rejects.accept(session, ids) if ids else 0
    answer = _answer("rejects accept", rejects.listed(session))
    answer.data["newly_accepted"] = fresh
    return answer


def _answer(name: str, found: list[Rejected]) -> Answer:
    waiting = sum(one.accepted_at is None for one in found)
    answer = Answer(
        name, True, "", {"rejected": len(found), "open": waiting, "listed": [_row(one) for one in found]}
    )
    if waiting:
        answer.next_steps = [
            "flask migration rejects retry, after mending the rows in the file",
            "flask migration rejects accept ID, to leave a row behind",
        ]
    return answer


def _row(one: Rejected) -> dict[str, object]:
    return {
        "id": one.key,
        "column": one.column,
        "reason": one.reason,
        "value": one.shown,
        "hex": None if one.raw is None or one.column == "password" else one.raw[:1024].hex(),
        "bytes": None if one.raw is None else len(one.raw),
        "noted_at": one.noted_at.isoformat(timespec="seconds"),
        "accepted_by": one.accepted_by if one.accepted_at else None,
    }


def _show(console: Console, answer: Answer) -> None:
    console.print(f"  {answer.data.get('rejected', 0)} rejected, {answer.data.get('open', 0)} of them open")
    rows = answer.data.get("listed", [])
    if not rows:
        return
    table = Table("id", "column", "reason", "value in the file", "accepted by")
    for row in rows[:SHOWN]:
        cells = (str(row["id"]), row["column"], row["reason"], row["value"], row["accepted_by"] or "")
        table.add_row(*map(escape, cells))
    console.print(table)
    if len(rows) > SHOWN:
        console.print(f"  ... and {len(rows) - SHOWN} more (--json lists all)")
