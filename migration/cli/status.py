"""`flask migration status`."""

import time
from typing import Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from migration.answer import Answer
from migration.cli.runtime import json_option, run
from migration.session import Session
from migration.status import collect

_COUNT_EVERY = 5  # counting millions of rows is not for every picture


@click.command("status")
@click.option("--watch", is_flag=True, help="Draw it again and again, until interrupted.")
@click.option("--every", type=click.FloatRange(min=0.1), default=1.0, show_default=True, help="Seconds.")
@json_option
def command(watch: bool, every: float, as_json: bool) -> None:
    """Where the migration stands."""
    if watch and as_json:
        raise click.UsageError("--watch draws for people; ask for --json as often as you like")
    run("status", lambda session: _watch(session, every) if watch else collect(session), as_json, _show)


def _watch(session: Session, every: float) -> Answer:
    answer, rows, round_ = collect(session), None, 0
    with Live(picture(answer), auto_refresh=False, screen=False) as live:
        try:
            while True:
                round_ += 1
                rows = answer.data.get("rows") or rows
                time.sleep(every)
                answer = collect(session, count_rows=round_ % _COUNT_EVERY == 0)
                answer.data.setdefault("rows", rows)
                live.update(picture(answer), refresh=True)
        except KeyboardInterrupt:
            return answer


def _show(console: Console, answer: Answer) -> None:
    console.print(picture(answer))


def picture(answer: Answer) -> Group:
    """The operator's screen."""
    data = answer.data
    head = Text.assemble(
        ("phase ", "dim"), (answer.phase, "bold"), ("  epoch ", "dim"), str(data.get("epoch", "?")),
        ("  truth ", "dim"), (str(data.get("truth", "?")), "bold"),
        ("  capture ", "dim"), _yes(data.get("captured")), ("  fence ", "dim"), _yes(data.get("fenced")),
    )  # fmt: skip
    parts: list[Any] = [head, _databases(data.get("databases") or {}), *_rows(data)]
    parts += [_plan(kind, plan) for kind, plan in (data.get("plans") or {}).items()]
    if data.get("throttle"):
        parts.append(Text(f"throttled: {data['throttle']}", "yellow"))
    return Group(*parts)


def _yes(value: Any) -> tuple[str, str]:
    return ("yes", "green") if value else ("no", "dim")


def _databases(databases: dict[str, Any]) -> Table:
    table = Table("database", "epoch", "state", "lag, entries", "lag, seconds", box=None, header_style="dim")
    for name, found in databases.items():
        if found is None:
            table.add_row(name, "?", Text("unreachable", "red"), "?", "?")
            continue
        state = "fenced" if found["fenced"] else "open"
        seconds = "-" if found["lag_seconds"] is None else f"{found['lag_seconds']:.1f}"
        table.add_row(name, str(found["epoch"]), state, f"{found['lag_entries']:,}", seconds)
    return table


def _rows(data: dict[str, Any]) -> list[Text]:
    rows = data.get("rows")
    if not rows:
        return []
    if rows["balanced"] is None:
        return [Text(f"rows: {rows['user_db']:,} users, {rows['auth_db']:,} credentials in PostgreSQL")]
    sign = "=" if rows["balanced"] else "≠"
    lag = any(found and found["lag_entries"] for found in (data.get("databases") or {}).values())
    follows = " (changes are on their way)" if lag and not rows["balanced"] else ""
    return [
        Text(
            f"rows: source {rows['source']:,} {sign} target {rows['user_db']:,} + rejected {rows['rejected']:,}"
            f" ({rows['accepted']:,} accepted); credentials {rows['auth_db']:,}{follows}",
            "" if rows["balanced"] else "yellow",
        )
    ]


def _plan(kind: str, plan: dict[str, Any]) -> Text:
    share = plan["rows_done"] / plan["rows"] if plan["rows"] else 1.0
    differences = f", {plan['differences']:,} looked at again" if kind == "verify" else ""
    return Text(
        f"{kind}: {plan['state']}, {plan['chunks_done']:,} of {plan['chunks']:,} chunks,"
        f" {plan['rows_done']:,} of {plan['rows']:,} rows ({share:.0%}){differences}"
        + (f", {plan['words']}" if "words" in plan else "")
    )
