"""How many rejected rows nobody has accepted to leave behind."""

from migration.session import Session


def open_rejects(session: Session) -> int:
    """Rejects without an acceptance; both databases note the same ones, so the higher count is taken."""
    counts = []
    for engine in (session.user, session.auth):
        with engine.connect() as connection:
            found = connection.exec_driver_sql(
                "SELECT count(*) FROM migration_rejects WHERE accepted_at IS NULL"
            )
            counts.append(int(found.scalar_one()))
    return max(counts)
