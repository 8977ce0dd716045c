"""What every command has in common: a session, an answer, two ways of printing it, an exit code.

0: done. 1: refused or failed. 2: wrong usage (click's own).
"""

import json
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from migration.answer import ERROR, Answer, Issue, Refused, refused
from migration.batch import Blocked
from migration.file_place import refuse_older_copy
from migration.history import DONE, FAILED, REFUSED, record
from migration.session import Session, open_session
from service_kit.settings import SettingsError, load
from service_kit.truth.legacy_file import CUTOVER, FINISHED, FileState

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for machines.")
_COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}

Work = Callable[[Session], Answer]


def run(
    command: str,
    work: Work,
    as_json: bool,
    show: Callable[[Console, Answer], None] | None = None,
    *,
    keep: bool = False,
    moves: bool = False,
) -> None:
    """Do `work` and print its answer; never returns. `keep` writes the outcome to the history; a command that `moves`
    users or the truth is refused on an older copy of the file, and on another file.

    `show` prints `data` for people; without it the values are listed by name.
    """
    answer = _answer(command, _on_the_right_file(work) if moves else work, keep)
    print_answer(answer, as_json, show)
    sys.exit(0 if answer.ok else 1)


def refuse_after_the_cutover(session: Session, because: str) -> None:
    """For what has its turn only while users are in the file.

    Raises:
        Refused: PostgreSQL is the truth; `because` says what that means for the command.
    """
    phase = session.file.state().phase
    if phase in (CUTOVER, FINISHED):
        raise refused("not_its_turn", f"The phase is {phase}: {because}", "", "flask migration status")


def print_answer(
    answer: Answer, as_json: bool, show: Callable[[Console, Answer], None] | None = None
) -> None:
    """To stdout: the JSON object, or lines for people."""
    if as_json:
        click.echo(json.dumps(answer.as_dict(), default=str))
        return
    console = Console(highlight=False, soft_wrap=True)
    verdict = "[green]done[/]" if answer.ok else "[red]not done[/]"
    console.print(f"[bold]{answer.command}[/]: {verdict}, phase [bold]{answer.phase}[/]")
    (show or _list)(console, answer)
    for issue in answer.issues:
        console.print(
            f"[{_COLOURS[issue.severity]}]{issue.severity}[/] {issue.code}: {issue.message}", markup=True
        )
        if issue.remedy:
            console.print(f"  -> {issue.remedy}")
    for following in answer.next_steps:
        console.print(f"next: {following}")


def _answer(command: str, work: Work, keep: bool) -> Answer:
    try:
        with open_session(load("worker")) as session:
            before = _state(session)
            answer, outcome = _outcome(command, session, work)
            answer.phase = answer.phase or _state(session).phase
            if keep:
                codes = [issue.code for issue in answer.issues]
                record(session.migration, command, outcome, before, issues=codes, **answer.data)
            return answer
    except SettingsError as error:
        issues = [Issue("settings", ERROR, mistake) for mistake in error.mistakes]
        return Answer(command, False, "unknown", issues=issues)
    except Refused as refusal:
        return Answer(command, False, "unknown", issues=refusal.issues, next_steps=refusal.next_steps)


def _on_the_right_file(work: Work) -> Work:
    def checked(session: Session) -> Answer:
        refuse_older_copy(session)
        return work(session)

    return checked


def _outcome(command: str, session: Session, work: Work) -> tuple[Answer, str]:
    try:
        answer = work(session)
        return answer, DONE if answer.ok else FAILED
    except Refused as refusal:
        return _failed(command, refusal.data, refusal.issues, refusal.next_steps), REFUSED
    except Blocked as blocked:
        return _failed(command, {}, list(blocked.issues), ["flask migration doctor"]), REFUSED
    except sqlite3.Error as error:
        issue = Issue("file_failed", ERROR, f"The legacy file: {error}", "flask migration doctor says more.")
        return _failed(command, {}, [issue], []), FAILED
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        issue = Issue(
            "database_failed", ERROR, f"A database: {cause}", "Run the same command again: it goes on."
        )
        return _failed(command, {}, [issue], []), FAILED


def _failed(command: str, data: dict[str, Any], issues: list[Issue], next_steps: list[str]) -> Answer:
    return Answer(command, False, "", data, issues, next_steps or ["flask migration status"])


def _state(session: Session) -> FileState:
    try:
        return session.file.state()
    except sqlite3.Error:
        return FileState(0, "unknown", None)


def _list(console: Console, answer: Answer) -> None:
    for name, value in answer.data.items():
        console.print(f"  {name.replace('_', ' ')}: {value}", markup=False)
