"""The bulk copy brings every row, exactly, once, whatever happens to it."""

import sqlite3

from migration import indexes
from migration import plan as plans
from migration.session import Session
from service_kit.truth.legacy_file import COPIED
from tests.integration.migration_copy.support import accounts, copy_all, plain_accounts, query, verify_all


def test_every_row_is_copied_in_chunks_and_the_phase_becomes_copied(
    session: Session, legacy: sqlite3.Connection
) -> None:
    plan = copy_all(session)
    assert accounts(session) == plain_accounts(legacy)
    assert session.file.state().phase == COPIED
    assert plan.state == plans.DONE
    chunks = query(session.migration, "SELECT first_key, last_key, state FROM chunks ORDER BY chunk")
    assert len(chunks) > 5
    assert {state for _, _, state in chunks} == {"done"}
    assert indexes.present(session.user)
    assert query(session.user, "SELECT sum(rows) FROM migration_chunks") == [(300,)]
    assert query(session.auth, "SELECT sum(rows) FROM migration_chunks") == [(300,)]


def test_a_clean_copy_verifies(session: Session, legacy: sqlite3.Connection) -> None:
    copy_all(session)
    verdict = verify_all(session)
    assert verdict.clean
    assert verdict.rows == 300
    assert session.file.state().phase == "verified"
