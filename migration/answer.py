"""What a command of the toolkit has to say: findings, and the one object that `--json` prints."""

from dataclasses import asdict, dataclass, field
from typing import Any

ERROR, WARNING, INFO = "error", "warning", "info"


@dataclass(frozen=True)
class Issue:
    """A finding: `code` is stable and for machines, `remedy` says what to do about it."""

    code: str
    severity: str
    message: str
    remedy: str = ""


@dataclass
class Answer:
    """The outcome of `command`. `ok` False: refused or failed, and nothing was changed."""

    command: str
    ok: bool
    phase: str
    data: dict[str, Any] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list)
    next_steps: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The object of `--json`: command, ok, phase, data, issues, next_steps."""
        return asdict(self)


class Refused(Exception):
    """The command does not do it now. Nothing was changed; `issues` say why, `next_steps` what to do instead."""

    def __init__(
        self, *issues: Issue, next_steps: tuple[str, ...] = (), data: dict[str, Any] | None = None
    ) -> None:
        self.issues = list(issues)
        self.next_steps = list(next_steps)
        self.data = data or {}
        super().__init__("; ".join(f"{issue.code}: {issue.message}" for issue in issues))


def refused(code: str, message: str, remedy: str = "", *next_steps: str) -> Refused:
    """A refusal with a single error."""
    return Refused(Issue(code, ERROR, message, remedy), next_steps=next_steps)
