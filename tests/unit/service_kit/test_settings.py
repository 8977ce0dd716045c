"""Settings: wrong ones are all named at once, secrets stay where they belong."""

from pathlib import Path

import pytest

from service_kit.settings import ROLES, SettingsError, check, load, variables
from tests.support.environment import JWT_SECRET

COMPLETE = {
    "USER_DATABASE_URL": "postgresql://user_service:pw@127.0.0.1:5432/user_db",
    "AUTH_DATABASE_URL": "postgresql://auth_service:pw@127.0.0.1:5432/auth_db",
    "MIGRATION_DATABASE_URL": "postgresql://migration:pw@127.0.0.1:5432/migration_db",
    "REDIS_URL": "redis://:pw@127.0.0.1:6379/0",
    "JWT_SECRET": JWT_SECRET,
    "GATEWAY_API_KEYS": "sample-gateway",
    "USER_API_KEYS": "sample-user",
    "AUTH_API_KEYS": "sample-auth",
}


def _mistakes(role: str, **changes: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(role, COMPLETE | changes)
    return caught.value.mistakes


@pytest.mark.parametrize("role", ROLES)
def test_the_required_settings_are_enough(role: str) -> None:
    settings = load(role, COMPLETE)
    assert settings.role == role
    assert settings.gateway_port == 5000
    assert settings.redis_url == COMPLETE["REDIS_URL"]


def test_every_mistake_is_in_one_message_with_what_it_should_be() -> None:
    changes = {"BCRYPT_COST": "99", "APP_ENV": "prod", "REDIS_URL": "http://x", "RATE_LIMIT_DEFAULT": "lots"}
    environ = {name: value for name, value in COMPLETE.items() if name != "AUTH_DATABASE_URL"} | changes
    with pytest.raises(SettingsError) as caught:
        load("auth", environ)
    message = str(caught.value)
    assert message.startswith("5 settings are wrong:")
    assert "BCRYPT_COST should be a whole number from 4 to 16" in message
    assert "APP_ENV should be one of development, production, test" in message
    assert "REDIS_URL should be an address like redis://" in message
    assert 'RATE_LIMIT_DEFAULT should be a limit like "600 per minute"' in message
    assert "AUTH_DATABASE_URL is missing; it should be an address like postgresql://" in message


def test_mistakes_of_several_roles_come_once_each() -> None:
    with pytest.raises(SettingsError) as caught:
        check(COMPLETE | {"REDIS_URL": "", "JWT_SECRET": "short"})
    assert sorted(mistake.split()[0] for mistake in caught.value.mistakes) == ["JWT_SECRET", "REDIS_URL"]


def test_a_message_never_repeats_a_value_that_may_be_a_secret() -> None:
    secret = "hunter2hunter2"
    wrong = {"USER_DATABASE_URL": f"mysql://{secret}", "REDIS_URL": f"http://{secret}", "JWT_SECRET": secret}
    with pytest.raises(SettingsError) as caught:
        check(COMPLETE | wrong)
    assert secret not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_database_addresses_name_the_installed_driver_and_keep_odd_passwords(scheme: str) -> None:
    url = load(
        "user", COMPLETE | {"USER_DATABASE_URL": f"{scheme}://me:p%40ss%2F@h:5433/d"}
    ).user_database_url
    assert url == "postgresql+psycopg2://me:p%40ss%2F@h:5433/d"


@pytest.mark.parametrize("role", ["user", "worker"])
def test_only_gateway_and_auth_hold_the_signing_secret(role: str) -> None:
    assert load(role, COMPLETE).jwt_secret == ""
    assert "JWT_SECRET" not in variables(role)


def test_a_service_does_not_hold_the_other_ones_database() -> None:
    assert load("user", COMPLETE).auth_database_url == ""
    assert load("auth", COMPLETE).user_database_url == ""
    assert load("gateway", COMPLETE).user_database_url == ""


def test_secrets_are_not_in_the_printed_form() -> None:
    printed = repr(load("auth", COMPLETE))
    assert JWT_SECRET not in printed
    assert "sample-auth" not in printed
    assert ":pw@" not in printed


def test_a_short_token_secret_is_refused_unless_asked_for() -> None:
    assert any(
        "JWT_SECRET should be at least 32 bytes" in each for each in _mistakes("auth", JWT_SECRET="short")
    )
    settings = load("auth", COMPLETE | {"JWT_SECRET": "short", "ALLOW_WEAK_JWT_SECRET": "1"})
    assert settings.jwt_secret == "short"


def test_the_length_of_the_token_secret_is_counted_in_bytes() -> None:
    assert load("auth", COMPLETE | {"JWT_SECRET": "ä" * 16}).jwt_secret == "ä" * 16
    _mistakes("auth", JWT_SECRET="x" * 31)


def test_production_refuses_sample_secrets_and_short_api_keys() -> None:
    mistakes = _mistakes("auth", APP_ENV="production", AUTH_API_KEYS="short")
    assert [mistake.split()[0] for mistake in mistakes] == [
        "JWT_SECRET",
        "GATEWAY_API_KEYS",
        "USER_API_KEYS",
        "AUTH_API_KEYS",
    ]


def test_production_takes_secrets_of_its_own() -> None:
    own = {"JWT_SECRET": "0123456789abcdef" * 2}
    own |= dict.fromkeys(("GATEWAY_API_KEYS", "USER_API_KEYS", "AUTH_API_KEYS"), "fedcba9876543210")
    assert load("auth", COMPLETE | own | {"APP_ENV": "production"}).app_env == "production"


def test_several_api_keys_keep_their_order() -> None:
    assert load("user", COMPLETE | {"USER_API_KEYS": "new, old ,"}).user_api_keys == ("new", "old")


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(JWT_SECRET + "\n")
    environ = COMPLETE | {"JWT_SECRET": "", "JWT_SECRET_FILE": str(file)}
    assert load("gateway", environ).jwt_secret == JWT_SECRET
    assert _mistakes("gateway", JWT_SECRET="", JWT_SECRET_FILE="/nowhere") == (
        "JWT_SECRET cannot be read from the file that JWT_SECRET_FILE names",
    )


def test_a_legacy_file_that_is_not_there_stops_a_service_but_not_the_doctor(tmp_path: Path) -> None:
    path = str(tmp_path / "users.db")
    assert "LEGACY_SQLITE_PATH should name an existing file" in _mistakes("user", LEGACY_SQLITE_PATH=path)[0]
    assert load("worker", COMPLETE | {"LEGACY_SQLITE_PATH": path}).legacy_sqlite_path == path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_PORT", "0"),
        ("GATEWAY_PORT", "65536"),
        ("GATEWAY_PORT", "x"),
        ("REDIS_TIMEOUT_MS", "0"),
        ("UPSTREAM_TIMEOUT_SECONDS", "nan"),
        ("FRONTEND_URL", "localhost:3000"),
        ("FRONTEND_URL", "http://localhost:3000/path"),
        ("USER_SERVICE_URLS", ","),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("RATE_LIMIT_HEADERS", "maybe"),
        ("REVOCATION_UNAVAILABLE", "perhaps"),
        ("LOG_LEVEL", "LOUD"),
        ("FRONTEND_URL", "http://[::1"),
    ],
)
def test_a_value_out_of_range_is_named(name: str, value: str) -> None:
    assert _mistakes("gateway", **{name: value})[0].startswith(f"{name} should be ")


def test_lists_and_switches_are_read() -> None:
    changes = {"FRONTEND_URL": "https://a.example/, https://b.example", "RATE_LIMIT_HEADERS": "off"}
    settings = load("gateway", COMPLETE | changes | {"TRUSTED_PROXIES": "10.1.2.3/8", "LOG_LEVEL": "debug"})
    assert settings.frontend_url == ("https://a.example", "https://b.example")
    assert settings.rate_limit_headers is False
    assert settings.trusted_proxies == ("10.0.0.0/8",)
    assert settings.log_level == "DEBUG"
