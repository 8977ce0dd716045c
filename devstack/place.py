"""Where a server of the stack has its programs and its data, and which account it runs under.

Servers never run as root. When root starts the stack they run as `nobody`; no account is made. A folder below a
private one (say /root) cannot be used by that account: then a folder below /var/tmp, named after a hash of the
server's home, takes its place, so that the same home always finds it again.
"""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack.errors import StackError

PRIVATE_ROOT = Path("/var/tmp")  # noqa: S108 - the folder below it is checked to be root's own


@dataclass(frozen=True)
class Account:
    """User and group number of a process to be."""

    uid: int
    gid: int

    @property
    def arguments(self) -> dict[str, Any]:
        """For `subprocess`."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_run(self, program: Path) -> bool:
        """Whether this account may execute `program --version`, all kinds of permission considered."""
        return self._try([str(program), "--version"])

    def can_enter(self, folder: Path) -> bool:
        """Whether this account may change into `folder` by its whole path."""
        return self._try(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)])

    def _try(self, command: list[str]) -> bool:
        try:
            return subprocess.run(command, cwd="/", capture_output=True, **self.arguments).returncode == 0
        except OSError:
            return False


class Place:
    """The folders of one server, which has `home` for itself."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.account = server_account()
        digest = hashlib.sha256(str(home).encode()).hexdigest()[:16]
        self._private = PRIVATE_ROOT / f"devstack-{digest}"

    @property
    def data_folders(self) -> tuple[Path, Path]:
        """Where the data may be: in the home, or in its substitute."""
        return self.home / "data", self._private / "data"

    def data(self) -> Path:
        """Where the data is to be; the folder above it is there afterwards, and the account may enter it."""
        self.home.mkdir(parents=True, exist_ok=True)
        if self.account is None or self.account.can_enter(self.home):
            return self.home / "data"
        return self._make_private() / "data"

    def programs(self, root: Path, parts: tuple[str, ...], program: str) -> Path:
        """The folder `root`, or a copy of its `parts` when the account cannot run `program` (below it) there."""
        if self.account is None or self.account.can_run(root / program):
            return root
        copy = _copy(root, parts, self._make_private() / "programs", program)
        if not self.account.can_run(copy / program):
            raise StackError(f"{copy / program} cannot be run (is {PRIVATE_ROOT} mounted with noexec?)")
        return copy

    def give(self, path: Path) -> None:
        """Makes `path` the account's."""
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)

    def make(self, folder: Path) -> None:
        """Makes `folder`, closed for everybody but the account."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.give(folder)

    def remove(self) -> None:
        """Removes the home and its substitute."""
        shutil.rmtree(self.home, ignore_errors=True)
        if self.account:
            shutil.rmtree(self._private, ignore_errors=True)

    def _make_private(self) -> Path:
        """The substitute: root's, enterable for the account, writable for root alone."""
        self._private.mkdir(exist_ok=True)
        status = self._private.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise StackError(f"{self._private} belongs to somebody else; look at it and remove it")
        self._private.chmod(0o711)
        return self._private


def server_account() -> Account | None:
    """None for an ordinary user, who runs the servers as himself; `nobody` for root."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def _copy(root: Path, parts: tuple[str, ...], target: Path, program: str) -> Path:
    """A copy that everybody can read, kept once it is complete."""
    marker = target / "copied-from"
    wanted = f"{root}\n{(root / program).stat().st_mtime_ns}\n"
    if marker.is_file() and marker.read_text() == wanted:
        return target
    shutil.rmtree(target, ignore_errors=True)
    for part in filter(lambda part: (root / part).is_dir(), parts):
        ignored = shutil.ignore_patterns("include", "*.a")
        shutil.copytree(root / part, target / part, symlinks=True, ignore=ignored)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
    marker.write_text(wanted)
    return target
