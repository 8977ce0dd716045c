"""The history of auth_db goes up from nothing and down to nothing."""

import pytest
from sqlalchemy import create_engine, text

from service_kit import schema_history

_OBJECTS = """
SELECT CAST(relkind AS text) || ' ' || relname FROM pg_class WHERE relnamespace = CAST('public' AS regnamespace)
UNION ALL SELECT 'f ' || proname FROM pg_proc WHERE pronamespace = CAST('public' AS regnamespace) ORDER BY 1
"""


def objects(url: str) -> list[str]:
    """Tables, indexes, sequences and functions."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = list(connection.execute(text(_OBJECTS)).scalars())
    engine.dispose()
    return found


def test_down_leaves_nothing_and_up_again_makes_the_same(auth_database_url: str) -> None:
    made = objects(auth_database_url)
    assert {"r user_credentials", "r sessions", "r revocations", "r events", "r migration_phase"} <= set(made)
    assert schema_history.main("auth_app", lambda: auth_database_url, ["downgrade", "base"]) == 0
    assert [name for name in objects(auth_database_url) if "alembic" not in name] == []
    assert schema_history.main("auth_app", lambda: auth_database_url, ["upgrade"]) == 0
    assert objects(auth_database_url) == made


def test_up_twice_changes_nothing(auth_database_url: str) -> None:
    made = objects(auth_database_url)
    assert schema_history.main("auth_app", lambda: auth_database_url, ["upgrade"]) == 0
    assert objects(auth_database_url) == made


def test_a_database_that_is_away_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    url = "postgresql+psycopg2://nobody@127.0.0.1:1/nothing"
    assert schema_history.main("auth_app", lambda: url, ["upgrade"]) == 1
    assert "could not be used" in capsys.readouterr().err
