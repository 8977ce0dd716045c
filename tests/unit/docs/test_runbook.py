"""The runbook explains every finding that the toolkit can have, and none that it cannot."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from migration import doctor_values
from migration.answer import Issue
from migration.doctor_values import Scan

ROOT = Path(__file__).parents[3]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
MAKERS = {"Issue", "refused", "_fault", "_problem"}
"""Calls whose first argument is a code."""
HANDS_ON = {
    ("capture.py", "_fault"),
    ("file_schema.py", "_problem"),
    ("doctor_values.py", "_kept"),
    ("answer.py", "refused"),
}
"""Functions that hand a code on; their callers name it, and `_kept` has a table."""


def calls(tree: ast.AST, function: str = "") -> Iterator[tuple[str, ast.Call]]:
    """Every call of a maker, with the function that it is in."""
    for node in ast.iter_child_nodes(tree):
        inside = node.name if isinstance(node, ast.FunctionDef) else function
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS:
            yield inside, node
        yield from calls(node, inside)


def codes_in_the_code() -> set[str]:
    found: set[str] = set()
    for path in sorted((ROOT / "migration").rglob("*.py")):
        for function, call in calls(ast.parse(path.read_text(encoding="utf-8"))):
            code = call.args[0]
            if isinstance(code, ast.Constant):
                found.add(str(code.value))
            else:
                assert (path.name, function) in HANDS_ON, f"{path.name}:{call.lineno} hides its code"
    return found | {issue.code for issue in kept()}


def kept() -> list[Issue]:
    """Doctor's findings about unusual values that are kept, all of them."""
    scan = Scan(rows=1, read=1)
    scan.counts.update(dict.fromkeys(doctor_values._COUNTS, 1))
    return list(doctor_values._kept(scan, ""))


def codes_in_the_runbook() -> list[str]:
    section = RUNBOOK[RUNBOOK.index("## Every finding") :]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [code for cell in cells for code in re.findall(r"`([a-z0-9_]+)`", cell)]


def test_every_finding_is_in_the_runbook_and_no_other() -> None:
    assert set(codes_in_the_runbook()) == codes_in_the_code()


def test_each_finding_is_explained_once() -> None:
    named = codes_in_the_runbook()
    assert sorted(named) == sorted(set(named))


def test_each_finding_has_a_meaning_and_a_remedy() -> None:
    section = RUNBOOK[RUNBOOK.index("## Every finding") :]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    assert [row for row in rows if len(row) != 3 or not all(cell.strip() for cell in row)] == []
