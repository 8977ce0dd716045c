"""What a stack remembers: secrets are made once, addresses and the legacy file stay with the data."""

import json
import stat
from pathlib import Path

import pytest

from devstack.configuration import GENERATED, Configuration
from service_kit.settings import check


def _configured(home: Path, **given: str) -> Configuration:
    configuration = Configuration(home, given, free_ports=False)
    configuration.keep()
    return configuration


def test_secrets_are_made_once_and_only_the_owner_may_read_them(tmp_path: Path) -> None:
    first = _configured(tmp_path).values
    second = _configured(tmp_path).values
    assert {name: first[name] for name in GENERATED} == {name: second[name] for name in GENERATED}
    assert len({first[name] for name in GENERATED}) == len(GENERATED)
    assert stat.S_IMODE((tmp_path / "kept.json").stat().st_mode) == 0o600


def test_two_homes_have_different_secrets(tmp_path: Path) -> None:
    assert (
        _configured(tmp_path / "a").values["JWT_SECRET"] != _configured(tmp_path / "b").values["JWT_SECRET"]
    )


def test_what_is_made_up_passes_the_check_of_all_settings(tmp_path: Path) -> None:
    check(_configured(tmp_path, LEGACY_SQLITE_PATH="").values)


def test_a_relative_path_leads_to_the_same_file_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _configured(tmp_path / "home", LEGACY_SQLITE_PATH="data/users.db")
    monkeypatch.chdir("/")
    assert _configured(tmp_path / "home").values["LEGACY_SQLITE_PATH"] == str(tmp_path / "data/users.db")


def test_a_token_secret_of_the_team_is_taken_and_kept(tmp_path: Path) -> None:
    own = "0123456789abcdef" * 2
    _configured(tmp_path, JWT_SECRET=own)
    assert _configured(tmp_path).values["JWT_SECRET"] == own


def test_without_a_legacy_file_there_is_a_sample_and_an_empty_one_means_none(tmp_path: Path) -> None:
    assert _configured(tmp_path).uses_sample
    none = _configured(tmp_path, LEGACY_SQLITE_PATH="")
    assert not none.uses_sample
    assert none.values["LEGACY_SQLITE_PATH"] == ""


def test_the_legacy_file_stays_with_the_data(tmp_path: Path) -> None:
    _configured(tmp_path, LEGACY_SQLITE_PATH="/some/users.db")
    later = _configured(tmp_path)
    assert later.values["LEGACY_SQLITE_PATH"] == "/some/users.db"
    assert not later.uses_sample


def test_given_servers_are_used_kept_and_forgotten_when_set_to_nothing(tmp_path: Path) -> None:
    url = "postgresql://me@db.example/users"
    given = _configured(tmp_path, USER_DATABASE_URL=url, REDIS_URL="redis://cache.example")
    assert given.local_databases == ["auth_db", "migration_db"]
    assert not given.local_redis
    kept = _configured(tmp_path)
    assert kept.values["USER_DATABASE_URL"] == url
    forgotten = _configured(tmp_path, USER_DATABASE_URL="", REDIS_URL="")
    assert forgotten.local_databases == ["user_db", "auth_db", "migration_db"]
    assert forgotten.local_redis


def test_other_settings_are_not_kept(tmp_path: Path) -> None:
    assert _configured(tmp_path, LOG_LEVEL="DEBUG").values["LOG_LEVEL"] == "DEBUG"
    assert "LOG_LEVEL" not in _configured(tmp_path).values
    assert "LOG_LEVEL" not in json.loads((tmp_path / "kept.json").read_text())


def test_the_first_instance_has_the_port_of_the_settings(tmp_path: Path) -> None:
    configuration = _configured(tmp_path, GATEWAY_PORT="8080")
    assert configuration.port("gateway", 1, frozenset()) == 8080
    assert configuration.port("user", 1, frozenset()) == 5001
    assert configuration.port("flower", 1, frozenset()) == 5555


def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path) -> None:
    assert "PATH" not in _configured(tmp_path, PATH="/bin").values
