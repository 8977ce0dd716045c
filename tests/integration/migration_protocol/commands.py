"""What tests of the commands share: how a command is called, and the operator's short cuts."""

from collections.abc import Callable
from typing import Any

from migration.drain import drain
from migration.session import Session
from migration.stamp import move_phase
from service_kit.truth.legacy_file import COPIED, DUAL_WRITE, VERIFIED
from tests.integration.migration_protocol.support import Legacy

Command = Callable[..., dict[str, Any]]
"""Runs a command with --json and returns its object."""


def verified(session: Session, legacy: Legacy) -> None:
    legacy.run("UPDATE users SET name = name")
    drain(session)
    epoch = session.file.state().epoch
    assert move_phase(session.file, epoch, (DUAL_WRITE, COPIED), VERIFIED) is None


def codes(answer: dict[str, Any]) -> list[str]:
    return [issue["code"] for issue in answer["issues"]]
