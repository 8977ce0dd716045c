"""The file in which the local stack leaves its settings, so that plain `flask` and `python -m ...` find them.

Lines `KEY=VALUE`; the process environment wins. `STACK_ENV_FILE` names another file, or none when it is
empty.
"""

import os
from collections.abc import Mapping
from pathlib import Path

DEFAULT_FILE = Path(".run") / "stack.env"


def stack_environment(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> dict[str, str]:
    """`environ` (default: the process's) completed from the stack's file of the project around `folder`."""
    given = dict(os.environ if environ is None else environ)
    path = _file(given, folder or Path.cwd())
    return {**read(path), **given} if path else given


def read(path: Path) -> dict[str, str]:
    """The assignments in `path`; a missing file has none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value for key, _, value in pairs}


def write(path: Path, values: Mapping[str, str], heading: str) -> None:
    """Replaces `path` whole, readable by its owner only: it holds secrets."""
    lines = [f"# {heading}", *(f"{key}={value}" for key, value in values.items())]
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _file(environ: Mapping[str, str], folder: Path) -> Path | None:
    if environ.get("APP_ENV") == "production":
        return None
    if "STACK_ENV_FILE" in environ:
        return Path(environ["STACK_ENV_FILE"]) if environ["STACK_ENV_FILE"] else None
    for place in (folder, *folder.parents):
        if (place / DEFAULT_FILE).is_file():
            return place / DEFAULT_FILE
        if (place / "setup.py").is_file():
            return None
    return None
