"""After a rollback the copy is still there and the appliers keep it fresh: only the verification is owed again."""

from migration import copy, verify
from migration.answer import refused
from migration.follow_pass import follow
from migration.progress import Display
from migration.session import Session
from service_kit.truth.legacy_file import DUAL_WRITE


def regain_verified(session: Session, show: Display) -> verify.Verdict:
    """From `dual_write` or `copied` to `verified` without a new copy, after an earlier cutover.

    Raises:
        Refused: there is no former copy to build on, or the sides differ.
    """
    if session.file.state().phase == DUAL_WRITE:
        if not copy.former_stands(session):
            raise refused(
                "not_its_turn", "There is no whole copy in the databases.", "", "flask migration copy"
            )
        copy.stamp_copied(session, None)
    plan = follow(session, verify.begin(session), verify.finish, show)
    verdict = verify.verdict(session.migration, plan)
    if not verdict.clean:
        raise refused(
            "differences",
            f"{verdict.keys} rows differ on the two sides.",
            "Repair them, and find out who changed them behind the appliers.",
            "flask migration verify --repair",
        )
    return verdict
