"""A coordinator killed at any of its points: nothing is lost, services go on, and the same command completes it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.schema import PROJECT
from migration.drain import drain
from migration.session import Session
from service_kit.steps import CONTROL_VARIABLE, POINTS, ROLE_VARIABLE
from tests.faults.harness.control import KILL, Controller, Fate
from tests.faults.harness.journal import Journal
from tests.integration.migration_protocol.moving import declare_verified, dual_write, services_of
from tests.integration.migration_protocol.support import Legacy, accounts_of, query
from tests.support.environment import service_environment

_COMMAND = "import sys; from migration.cli.group import migration_group; migration_group(sys.argv[1:])"
_SIGKILLED = -9


class Operator:
    """Runs commands as processes, and kills them at a point."""

    def __init__(self, session: Session, control: Controller) -> None:
        settings = session.settings
        self._process: subprocess.Popen[str] | None = None
        self._control = control
        control.send_signal = self._send
        self._environ = service_environment(
            legacy_sqlite_path=settings.legacy_sqlite_path,
            user_database_url=settings.user_database_url,
            auth_database_url=settings.auth_database_url,
            migration_database_url=settings.migration_database_url,
            redis_url="redis://127.0.0.1:1/0",
            cutover_budget_ms=30000,
        )

    def killed_at(self, point: str, command: str) -> None:
        """Starts the command and sees it die at the point."""
        self._control.expect(point, [Fate(point, KILL)])
        environ = self._environ | {CONTROL_VARIABLE: str(self._control.path), ROLE_VARIABLE: point}
        code, _, _ = self._run(command, environ)
        assert code == _SIGKILLED, f"{command} never came to {point}"

    def completes(self, command: str) -> None:
        """The same command, undisturbed."""
        code, printed, errors = self._run(command, self._environ)
        assert code == 0 and json.loads(printed)["ok"], printed + errors

    def _run(self, command: str, environ: dict[str, str]) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        with subprocess.Popen(
            [sys.executable, "-c", _COMMAND, command, "--json"],
            cwd=PROJECT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as self._process:  # fmt: skip
            printed, errors = self._process.communicate(timeout=120)
            return self._process.returncode, printed, errors

    def _send(self, role: str, number: int) -> None:
        assert self._process is not None, f"{role} was not started here"
        self._process.send_signal(number)


@pytest.fixture
def operator(session: Session, tmp_path: Path) -> Iterator[Operator]:
    journal = Journal(tmp_path / "journal", "test")
    control = Controller(tmp_path, journal)
    yield Operator(session, control)
    control.close()
    journal.close()


def points_of(command: str) -> list[str]:
    return [point for point in POINTS if point.startswith(f"{command}.")]


def test_dual_write(session: Session, operator: Operator, legacy: Legacy) -> None:
    for point in points_of("dual_write"):
        operator.killed_at(point, "dual-write")
        operator.completes("dual-write")
        legacy.run("UPDATE users SET name = ?", point)
        drain(session)
        assert accounts_of(session.user, session.auth) == legacy.accounts()
        _undo_installation(session, legacy)


def test_cutover_and_rollback(session: Session, operator: Operator, legacy: Legacy) -> None:
    """Round and round: each point of one of the two kills its command, a service writes, the command completes."""
    dual_write(session, legacy)
    services = services_of(session, undo_after=0.3)
    backward = points_of("rollback")
    for number, point in enumerate(points_of("cutover")):
        declare_verified(session)
        operator.killed_at(point, "cutover")
        services.rename(1, f"while {point}")
        operator.completes("cutover")
        services.change_password(2, f"after {point}")
        key = services.register(f"user{number}")
        if backward:
            operator.killed_at(backward.pop(0), "rollback")
            services.rename(3, f"after the kill behind {point}")
        if session.file.state().epoch % 2:
            operator.completes("rollback")
        drain(session)
        assert accounts_of(session.user, session.auth) == legacy.accounts()
        assert legacy.accounts()[1][2] == f"while {point}"
        assert legacy.accounts()[2][1] == f"after {point}"
        assert legacy.accounts()[3][2] == f"after the kill behind {point}"
        assert key in legacy.accounts()


def test_rollback_at_its_last_points(session: Session, operator: Operator, legacy: Legacy) -> None:
    """Behind the commit the command is not needed any more: services go on in the file, and running it again tidies."""
    dual_write(session, legacy)
    services = services_of(session)
    for point in ("rollback.committed", "rollback.user_followed", "rollback.auth_followed"):
        declare_verified(session)
        operator.completes("cutover")
        services.rename(1, point)
        operator.killed_at(point, "rollback")
        assert services.rename(2, point) == "file"
        operator.completes("rollback")
        assert query(session.user, "SELECT count(*) FROM migration_reverse_log") == [(0,)]
        drain(session)
        assert accounts_of(session.user, session.auth) == legacy.accounts()
        assert legacy.accounts()[1][2] == legacy.accounts()[2][2] == point


def test_finish(session: Session, operator: Operator, legacy: Legacy) -> None:
    dual_write(session, legacy)
    services = services_of(session)
    declare_verified(session)
    operator.completes("cutover")
    for point in points_of("finish"):
        operator.killed_at(point, "finish")
        assert services.rename(1, point) == "database"
    operator.completes("finish")
    assert session.file.state().phase == "finished"
    assert query(session.user, "SELECT epoch, capture FROM migration_phase") == [(3, False)]
    assert query(session.user, "SELECT name FROM users WHERE id = 1") == [(points_of("finish")[-1],)]


def _undo_installation(session: Session, legacy: Legacy) -> None:
    """As if nothing had been installed, for the next kill."""
    for (name,) in legacy.run(
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'migration%'"
    ):
        legacy.run(f"DROP TRIGGER {name}")
    legacy.run("DROP TABLE migration_log")
    legacy.run("DROP TABLE migration_state")
    for engine, table in ((session.user, "users"), (session.auth, "user_credentials")):
        query(engine, "SET migration.applying = 'on'; DELETE FROM " + table)
        query(engine, "DELETE FROM migration_versions")
        query(engine, "UPDATE migration_phase SET epoch = 0, cursor = 0, file_id = NULL, capture = false")
