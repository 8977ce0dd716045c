"""The history of user_db goes up from nothing and down to nothing."""

import pytest
from sqlalchemy import create_engine, exc, text

from service_kit import schema_history

_OBJECTS = """
SELECT CAST(relkind AS text) || ' ' || relname FROM pg_class WHERE relnamespace = CAST('public' AS regnamespace)
UNION ALL SELECT 'f ' || proname FROM pg_proc WHERE pronamespace = CAST('public' AS regnamespace) ORDER BY 1
"""


def _objects(url: str) -> list[str]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = list(connection.execute(text(_OBJECTS)).scalars())
    engine.dispose()
    return found


def test_down_leaves_nothing_and_up_again_makes_the_same(user_database_url: str) -> None:
    made = _objects(user_database_url)
    assert "r users" in made and "r events" in made and "r migration_phase" in made
    assert schema_history.main("user_app", lambda: user_database_url, ["downgrade", "base"]) == 0
    assert [name for name in _objects(user_database_url) if "alembic" not in name] == []
    assert schema_history.main("user_app", lambda: user_database_url, ["upgrade"]) == 0
    assert _objects(user_database_url) == made


def test_up_twice_changes_nothing(user_database_url: str) -> None:
    made = _objects(user_database_url)
    assert schema_history.main("user_app", lambda: user_database_url, ["upgrade"]) == 0
    assert _objects(user_database_url) == made


@pytest.mark.parametrize(
    "row",
    [
        "(email) VALUES (NULL)",
        "(email, status) VALUES ('a@b.co', 'pending')",
        "(email, pending_since) VALUES ('a@b.co', now())",
        "(email, status) VALUES ('a@b.co', 'other')",
    ],
)
def test_a_row_that_makes_no_sense_is_refused(user_database_url: str, row: str) -> None:
    engine = create_engine(user_database_url)
    with pytest.raises(exc.IntegrityError), engine.begin() as connection:
        connection.exec_driver_sql(f"SET LOCAL migration.applying = 'on'; INSERT INTO users {row}")
    engine.dispose()
