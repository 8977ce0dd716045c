"""Every command in every phase: done, or refused with the reason and what comes instead, and nothing is changed."""

from typing import Any

import pytest

from migration.session import Session
from migration.stamp import move_phase
from service_kit.truth.legacy_file import COPIED, CUTOVER, DUAL_WRITE, FINISHED, LEGACY, PHASES, VERIFIED
from tests.integration.migration_protocol.commands import Command, codes, verified
from tests.integration.migration_protocol.support import Legacy, query

_STATUS, _COPY, _VERIFY = "flask migration status", "flask migration copy", "flask migration verify"
_BEGIN, _CUT = "flask migration dual-write", "flask migration cutover"
OUT_OF_TURN: dict[str, dict[str, str]] = {
    LEGACY: {
        "copy": _BEGIN,
        "verify": _BEGIN,
        "cutover": _BEGIN,
        "cutover --dry-run": _BEGIN,
        "rollback": _STATUS,
        "finish": _CUT,
        "dual-write --resync": _STATUS,
    },
    DUAL_WRITE: {
        "verify": _COPY,
        "verify --repair": _COPY,
        "cutover": _COPY,
        "cutover --dry-run": _COPY,
        "rollback": _STATUS,
        "finish": _CUT,
    },
    COPIED: {"cutover": _VERIFY, "cutover --dry-run": _VERIFY, "rollback": _STATUS, "finish": _CUT},
    VERIFIED: {"rollback": _STATUS, "finish": _CUT},
    CUTOVER: {
        "cutover --dry-run": _STATUS,
        "dual-write": _STATUS,
        "dual-write --resync": _STATUS,
        "copy": _STATUS,
        "copy --again": _STATUS,
        "verify": _STATUS,
        "pause": _STATUS,
        "rejects retry": _STATUS,
        "rejects accept 1": _STATUS,
    },
    FINISHED: {
        "dual-write": _STATUS,
        "dual-write --resync": _STATUS,
        "copy": _STATUS,
        "copy --again": _STATUS,
        "verify": _STATUS,
        "cutover": _STATUS,
        "cutover --dry-run": _STATUS,
        "rollback": _STATUS,
        "pause": _STATUS,
        "rejects retry": _STATUS,
        "rejects accept 1": _STATUS,
    },
}
ALWAYS = ("status", "history", "rejects", "resume")


@pytest.fixture(params=PHASES)
def phase(request: pytest.FixtureRequest, command: Command, session: Session, legacy: Legacy) -> str:
    """Every phase in turn, reached as an operator reaches it (copy and verify need workers, and are declared done)."""
    wanted: str = request.param
    steps = PHASES[: PHASES.index(wanted) + 1]
    if DUAL_WRITE in steps:
        assert command("dual-write")["ok"]
    if wanted == COPIED:
        assert move_phase(session.file, 0, (DUAL_WRITE,), COPIED) is None
    if VERIFIED in steps:
        verified(session, legacy)
    if CUTOVER in steps:
        assert command("cutover")["ok"]
    if FINISHED in steps:
        assert command("finish")["ok"]
    assert session.file.state().phase == wanted
    return wanted


def everything(session: Session, legacy: Legacy) -> tuple[Any, ...]:
    """What a refusal leaves as it was: the file's state and schema, both phase rows, the plans, the pause."""
    rows = [query(engine, "SELECT * FROM migration_phase") for engine in session.targets.values()]
    schema = legacy.run("SELECT name, sql FROM sqlite_master ORDER BY name")
    return (
        session.file.state(),
        schema,
        legacy.accounts(),
        rows,
        query(session.migration, "SELECT id, state FROM plans ORDER BY id"),
        query(session.migration, "SELECT paused_at FROM control"),
    )


def test_a_command_out_of_turn_is_refused_with_reason_and_next_step(
    phase: str, command: Command, session: Session, legacy: Legacy
) -> None:
    before = everything(session, legacy)
    for line, next_step in OUT_OF_TURN[phase].items():
        answer = command(*line.split())  # the exit code is checked there
        assert (line, answer["ok"], codes(answer), answer["phase"]) == (line, False, ["not_its_turn"], phase)
        assert phase in answer["issues"][0]["message"], line
        assert answer["next_steps"] == [next_step], line
    assert everything(session, legacy) == before


def test_looking_and_resuming_are_allowed_in_every_phase(phase: str, command: Command) -> None:
    for line in ALWAYS:
        answer = command(line)
        assert answer["ok"], (phase, line, answer["issues"])


def test_a_step_that_is_done_may_be_given_again(phase: str, command: Command) -> None:
    again = {DUAL_WRITE: "dual-write", CUTOVER: "cutover", FINISHED: "finish"}.get(phase)
    if again is not None:
        assert command(again)["phase"] == phase
    assert phase in OUT_OF_TURN


def test_people_read_the_reason_and_the_next_step_too(invoke: Any) -> None:
    result = invoke("finish")
    assert result.exit_code == 1
    assert "not_its_turn" in result.stdout and "next: flask migration cutover" in result.stdout
