"""The local stack's settings file: found from the project's folders, never over what the shell says."""

import stat
from pathlib import Path

from service_kit.stack_env import read, stack_environment, write


def _project(folder: Path) -> Path:
    (folder / ".run").mkdir()
    (folder / "setup.py").touch()
    write(folder / ".run" / "stack.env", {"REDIS_URL": "redis://stack", "A": "x=y # z"}, "heading")
    return folder


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    assert read(_project(tmp_path) / ".run" / "stack.env") == {"REDIS_URL": "redis://stack", "A": "x=y # z"}


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    file = _project(tmp_path) / ".run" / "stack.env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_it_is_found_from_a_folder_inside_of_the_project(tmp_path: Path) -> None:
    inner = _project(tmp_path) / "docs" / "adr"
    inner.mkdir(parents=True)
    assert stack_environment({}, inner)["REDIS_URL"] == "redis://stack"


def test_the_shell_wins(tmp_path: Path) -> None:
    assert stack_environment({"REDIS_URL": "mine"}, _project(tmp_path))["REDIS_URL"] == "mine"


def test_a_project_inside_of_another_one_does_not_take_the_outer_ones(tmp_path: Path) -> None:
    inner = _project(tmp_path) / "inner"
    inner.mkdir()
    (inner / "setup.py").touch()
    assert stack_environment({}, inner) == {}


def test_production_never_reads_it(tmp_path: Path) -> None:
    assert "REDIS_URL" not in stack_environment({"APP_ENV": "production"}, _project(tmp_path))


def test_another_file_or_none_can_be_named(tmp_path: Path) -> None:
    project = _project(tmp_path)
    other = tmp_path / "other.env"
    write(other, {"REDIS_URL": "redis://other"}, "heading")
    assert stack_environment({"STACK_ENV_FILE": str(other)}, project)["REDIS_URL"] == "redis://other"
    assert "REDIS_URL" not in stack_environment({"STACK_ENV_FILE": ""}, project)
