"""Whoever starts the stack, and from whatever folder: the servers find programs and data that they may use."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.errors import StackError
from devstack.place import Account, Place, server_account
from devstack.postgres import Postgres
from devstack.redis import Redis


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
    programs = place.programs(_programs(tmp_path / "installed"), ("bin",), "bin/tool")
    assert place.account is None or place.account.can_run(programs / "bin" / "tool")
    assert place.programs(tmp_path / "installed", ("bin",), "bin/tool") == programs


def test_programs_that_were_installed_anew_are_copied_anew(place: Place, tmp_path: Path) -> None:
    installed = _programs(tmp_path / "installed")
    place.programs(installed, ("bin",), "bin/tool")
    (installed / "bin" / "tool").write_text("#!/bin/sh\nexit 0 # newer\n")
    os.utime(installed / "bin" / "tool", (1, 1))
    assert "newer" in (place.programs(installed, ("bin",), "bin/tool") / "bin" / "tool").read_text()


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


def test_both_servers_run_out_of_an_environment_that_only_its_owner_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a clone below /root: neither the programs nor the project's folder are open to the account."""
    monkeypatch.setattr(Account, "can_enter", lambda _self, _folder: False)
    original = Account.can_run
    installed = str(Path(sys.prefix).resolve())
    monkeypatch.setattr(
        Account, "can_run", lambda self, program: installed not in str(program) and original(self, program)
    )
    for server in (Postgres(tmp_path / "postgres", durable=False), Redis(tmp_path / "redis")):
        try:
            server.start()
            assert server.running
        finally:
            server.destroy()
        assert not any(folder.parent.exists() for folder in server.place.data_folders)
