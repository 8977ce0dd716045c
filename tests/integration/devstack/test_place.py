"""Whoever starts the stack, and from whatever folder: the servers find programs and data that they may use."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.errors import StackError
from devstack.place import Place, server_account


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path / "closed" / "server")
    yield place
    place.remove()


def _programs(folder: Path) -> Path:
    """An installation that its owner alone may read, as after `umask 077`."""
    tool = folder / "bin" / "tool"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/bin/sh\nexit 0\n")
    for path in (folder, tool.parent, tool):
        path.chmod(0o700)
    return folder


def test_programs_that_only_their_owner_may_read_can_be_run(place: Place, tmp_path: Path) -> None:
    programs = place.programs(_programs(tmp_path / "installed"), "bin/tool")
    assert place.account is None or place.account.can_run(programs / "bin" / "tool")
    assert place.programs(tmp_path / "installed", "bin/tool") == programs


def test_programs_that_were_installed_anew_are_copied_anew(place: Place, tmp_path: Path) -> None:
    installed = _programs(tmp_path / "installed")
    place.programs(installed, "bin/tool")
    (installed / "bin" / "tool").write_text("#!/bin/sh\nexit 0 # newer\n")
    os.utime(installed / "bin" / "tool", (1, 1))
    assert "newer" in (place.programs(installed, "bin/tool") / "bin" / "tool").read_text()


def test_data_is_where_the_account_may_go(place: Place) -> None:
    place.home.parent.mkdir(mode=0o700)
    data = place.data()
    place.make(data)
    assert data in place.data_folders
    assert place.account is None or place.account.can_enter(data)


def test_a_folder_that_somebody_else_has_laid_in_wait_is_not_used(place: Place) -> None:
    account = server_account()
    trap = place.data_folders[1].parent
    trap.symlink_to("/tmp")
    try:
        if account is None:
            assert place.data().parent == place.home  # an ordinary user never goes there
        else:
            place.home.parent.mkdir(mode=0o700)
            with pytest.raises(StackError, match="belongs to somebody else"):
                place.data()
    finally:
        trap.unlink()
