"""`flask migration doctor`."""

import click
from rich.console import Console

from migration.answer import Answer
from migration.cli.runtime import json_option, run
from migration.doctor import examine


@click.command("doctor")
@click.option("--deep", is_flag=True, help="Check the whole file, however long that takes.")
@json_option
def command(deep: bool, as_json: bool) -> None:
    """Look for what will go wrong, and estimate how long the copy will take. Changes nothing."""
    run("doctor", lambda session: examine(session, deep=deep), as_json, _show)


def _show(console: Console, answer: Answer) -> None:
    for name, value in answer.data.items():
        if isinstance(value, dict):
            console.print(f"  {name}:")
            for inner, number in value.items():
                console.print(f"    {inner.replace('_', ' ')}: {_number(number)}", markup=False)
        else:
            console.print(f"  {name}: {_number(value)}", markup=False)
    if not answer.issues:
        console.print("  nothing to complain about")


def _number(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
