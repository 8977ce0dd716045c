"""What a `flask events` command says: for people, or with `--json` as one object."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

import click
from sqlalchemy.exc import DBAPIError

ERROR = "error"

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


class Refusal(Exception):
    """The command does not do it; the answer says why."""


@dataclass
class Answer:
    """The object of `--json`. `ok` is false as soon as one issue is an error. Events have no `phase`."""

    command: str
    ok: bool = True
    phase: None = None
    data: dict[str, Any] = field(default_factory=dict)
    issues: list[dict[str, str]] = field(default_factory=list)
    next_steps: list[str] = field(default_factory=list)

    def add(self, code: str, severity: str, message: str, remedy: str) -> None:
        """Note a finding."""
        self.issues.append({"code": code, "severity": severity, "message": message, "remedy": remedy})
        self.ok = self.ok and severity != ERROR

    def fail(self, code: str, message: str, remedy: str) -> None:
        """Note an error and go on."""
        self.add(code, ERROR, message, remedy)

    def refuse(self, code: str, message: str, remedy: str) -> NoReturn:
        """Note an error and end the command."""
        self.fail(code, message, remedy)
        raise Refusal(message)

    def next(self, text: str) -> None:
        """Say what to do now."""
        self.next_steps.append(text)


@contextmanager
def answering(
    command: str, as_json: bool, render: Callable[[dict[str, Any]], str] | None = None
) -> Iterator[Answer]:
    """Gives the answer to fill, prints it behind the block, and ends with its exit code."""
    answer = Answer(command)
    try:
        with suppress(Refusal):
            yield answer
    except DBAPIError as error:
        answer.fail("database", str(error.orig).strip().partition("\n")[0], "")
    if as_json:
        click.echo(json.dumps(asdict(answer)))
    else:
        _print(answer, render or _render)
    sys.exit(0 if answer.ok else 1)


def render_status(data: dict[str, Any]) -> str:
    """The answer of `flask events status` for people."""
    lines = []
    for state in data.get("services", []):
        waiting = state["unsequenced"]
        lines.append(
            f"{state['service']} store: head {state['head']}, oldest kept {state['first']}, without position"
            f" {waiting['count']}{_age(waiting['age_seconds'])}, sequencer seen"
            f"{_age(state['sequencer']['heartbeat_age_seconds']) or ' never'}"
        )
        lines += [_consumer_line(consumer) for consumer in state["consumers"]]
        for reader in state["readers"]:
            seen = _age(reader["seen_age_seconds"])
            lines.append(f"  read by {reader['consumer_id']:<28} up to {reader['position']}, seen{seen}")
    return "\n".join(lines)


def _consumer_line(consumer: dict[str, Any]) -> str:
    counts = [
        f"{consumer[state]} {state}" for state in ("retry", "waiting", "parked", "dead") if consumer[state]
    ]
    parts = [
        f"at {consumer['position']} of {consumer['source']}",
        f"{consumer['lag_events']} events and {consumer['lag_seconds']:.1f} s behind",
        *counts,
        f"seen{_age(consumer['heartbeat_age_seconds']) or ' never'}",
    ]
    return f"  {consumer['consumer_id']:<36} {', '.join(parts)}"


def _age(seconds: float | None) -> str:
    return "" if seconds is None else f" {seconds:.1f} s ago"


def _render(data: dict[str, Any]) -> str:
    lines = []
    for name, value in data.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for entry in value:
                lines.append("  ".join(f"{key}={item}" for key, item in entry.items() if item is not None))
        else:
            lines.append(f"{name}: {value}")
    return "\n".join(lines)


def _print(answer: Answer, render: Callable[[dict[str, Any]], str]) -> None:
    text = render(answer.data)
    if text:
        click.echo(text)
    for issue in answer.issues:
        remedy = f" ({issue['remedy']})" if issue["remedy"] else ""
        click.echo(f"{issue['severity']}: {issue['code']}: {issue['message']}{remedy}", err=True)
    for text in answer.next_steps:
        click.echo(f"next: {text}")
