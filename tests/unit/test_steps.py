"""The named points: listed in one place, used in the code, and without effect in a normal run."""

import ast
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service_kit import steps

ROOT = Path(__file__).parents[2]
PACKAGES = ("service_kit", "gateway_app", "user_app", "auth_app", "migration", "celery_worker")
CALL = "from service_kit.steps import step\nstep({!r})\nprint('went on', flush=True)"


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            if name == "step":
                yield node


def _run(point: str, control: str | None) -> subprocess.Popen[str]:
    environ = {key: value for key, value in os.environ.items() if key != steps.CONTROL_VARIABLE}
    if control is not None:
        environ[steps.CONTROL_VARIABLE] = control
    return subprocess.Popen(
        [sys.executable, "-c", CALL.format(point)],
        cwd=ROOT, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_every_point_that_the_code_uses_is_listed_and_a_literal() -> None:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for call in _calls(ast.parse(path.read_text())):
                argument = call.args[0] if call.args else None
                where = f"{path.relative_to(ROOT)}:{call.lineno}"
                assert isinstance(argument, ast.Constant), f"{where}: a point is a literal"
                assert argument.value in steps.POINTS, f"{where}: {argument.value!r} is not listed"


def test_a_normal_run_does_nothing_at_a_point_not_even_look_up_the_name() -> None:
    process = _run("no.such.point", None)
    assert process.communicate(timeout=30)[0] == "went on\n"


def test_a_controlled_process_refuses_a_point_that_is_not_listed() -> None:
    process = _run("no.such.point", "/nonexistent")
    assert "not listed" in process.communicate(timeout=30)[1]


def test_a_controlled_process_waits_at_the_point_until_it_is_let_go(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "control"))
    listener.listen()
    listener.settimeout(30)
    process = _run("apply.read", str(tmp_path / "control"))
    assert process.stdout is not None
    printed: list[str] = []
    reader = threading.Thread(target=lambda: printed.extend(process.stdout or ()))
    reader.start()
    connection, _ = listener.accept()
    assert b'"apply.read"' in connection.recv(200)
    reader.join(0.3)
    assert reader.is_alive() and not printed, "the process went on by itself"
    connection.sendall(b"go\n")
    reader.join(30)
    assert printed == ["went on\n"]
    assert process.wait(30) == 0


@pytest.mark.parametrize("control", ["/nonexistent/control"])
def test_a_controller_that_is_gone_leaves_no_process_hanging(control: str) -> None:
    process = _run("apply.read", control)
    assert process.communicate(timeout=30)[0] == "went on\n"
