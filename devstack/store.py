"""Small JSON files that only their owner can read, replaced whole, so that a crash leaves the old or the new
one.
"""

import json
import os
from pathlib import Path
from typing import Any


def read(path: Path) -> dict[str, Any]:
    """The object in `path`; empty when there is no such file."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def write(path: Path, values: dict[str, Any]) -> None:
    """Replaces `path` by `values`."""
    write_private(path, json.dumps(values, indent=1))


def write_private(path: Path, text: str) -> None:
    """Replaces `path` by `text`, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
