"""As root: the ordinary account that PostgreSQL, which refuses to run as root, runs under. Nothing is created
for it.

A folder below a private one (say /root) cannot be used by that account. Then a folder below /var/tmp, named
after a hash of the stack's home, takes its place, so that the same home always finds it again.
"""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import StackError

PRIVATE_ROOT = Path("/var/tmp")  # noqa: S108 - the folder below it is checked to be root's own


@dataclass(frozen=True)
class Account:
    """User and group number of a process to be."""

    uid: int
    gid: int

    def can_run(self, program: Path) -> bool:
        """Whether this account may execute `program --version`, all kinds of permission considered."""
        return self._try([str(program), "--version"])

    def can_enter(self, folder: Path) -> bool:
        """Whether this account may change into `folder` by its whole path."""
        return self._try(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)])

    def _try(self, command: list[str]) -> bool:
        try:
            done = subprocess.run(
                command, user=self.uid, group=self.gid, extra_groups=[], cwd="/", capture_output=True
            )
        except OSError:
            return False
        return done.returncode == 0


def server_account() -> Account | None:
    """None for an ordinary user, who runs the servers as himself; `nobody` for root."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def private_folder(home: Path) -> Path:
    """The substitute folder of `home`; it need not exist."""
    digest = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:16]
    return PRIVATE_ROOT / f"devstack-{digest}"


def make_private_folder(home: Path) -> Path:
    """Makes the substitute folder of `home`: root's, enterable for the account, writable for root alone."""
    folder = private_folder(home)
    folder.mkdir(mode=0o711, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise StackError(f"{folder} belongs to somebody else; look at it and remove it, then try again")
    folder.chmod(0o711)
    return folder


def own(folder: Path, account: Account | None) -> None:
    """Makes `folder`, closed for everybody but `account` (None: the present user)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account:
        os.chown(folder, account.uid, account.gid)


def copy_programs(source: Path, target: Path) -> Path:
    """A copy of an installed PostgreSQL that everybody can read; kept once it is complete."""
    marker = target / "from"
    wanted = f"{source}\n{(source / 'bin' / 'postgres').stat().st_mtime_ns}\n"
    if marker.is_file() and marker.read_text() == wanted:
        return target
    shutil.rmtree(target, ignore_errors=True)
    for part in ("bin", "lib", "share"):
        shutil.copytree(source / part, target / part, symlinks=True, ignore=shutil.ignore_patterns("*.a"))
    target.chmod(0o755)
    marker.write_text(wanted)
    return target
