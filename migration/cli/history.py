"""`flask migration history`."""

from dataclasses import asdict

import click
from rich.console import Console
from rich.markup import escape

from migration.answer import Answer
from migration.cli.runtime import json_option, run
from migration.history import read_history
from migration.session import Session


@click.command("history")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Newest lines.")
@json_option
def command(limit: int, as_json: bool) -> None:
    """Who did what, when, and what came of it."""
    run("history", lambda session: _work(session, limit), as_json, _show)


def _work(session: Session, limit: int) -> Answer:
    records = [asdict(record) for record in read_history(session.migration, limit)]
    return Answer("history", True, "", {"records": records})


def _show(console: Console, answer: Answer) -> None:
    for line in answer.data["records"]:
        told = ", ".join(
            f"{name} {value}" for name, value in line["detail"].items() if value not in (None, [], "")
        )
        console.print(
            f"  {line['at']:%Y-%m-%d %H:%M:%S} {escape(line['actor'])}  [bold]{line['action']}[/] {line['outcome']}"
            f" (phase {line['phase']}, epoch {line['epoch']}) {escape(told)}"
        )
