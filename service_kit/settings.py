"""All settings, read from environment variables in one place and checked at start, every mistake reported at
once.

`load(role)` gives a frozen `Settings`. A role holds only what it needs: the signing secret, for instance, is
empty in every role but `gateway` and `auth`, whatever the environment says.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from service_kit import parsing
from service_kit.stack_env import stack_environment

MIN_JWT_SECRET_BYTES = 32
MIN_API_KEY_CHARACTERS = 16
SAMPLE_MARK = "sample-"
"""Secrets that start so are examples of our own documents and tests; production refuses them."""

ROLES = ("gateway", "user", "auth", "worker")
"""`worker` is the migration toolkit: Celery processes and the command line."""


class SettingsError(Exception):
    """At least one setting is wrong; the message lists all of them, `mistakes` holds them one by one."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(dict.fromkeys(mistakes))
        count = len(self.mistakes)
        head = "1 setting is wrong:" if count == 1 else f"{count} settings are wrong:"
        super().__init__("\n".join([head, *(f"  {mistake}" for mistake in self.mistakes)]))


def _setting(
    parse: Callable[[str], Any],
    default: Any,
    *,
    roles: tuple[str, ...] = ROLES,
    required: bool = False,
    secret: bool = False,
) -> Any:
    """A field: `roles` hold it (the others keep the default), `required` ones must have it set."""
    metadata = {"parse": parse, "roles": roles, "required": required, "secret": secret}
    return field(default=default, repr=not secret, metadata=metadata)


def _secret(parse: Callable[[str], Any], default: Any, *roles: str) -> Any:
    return _setting(parse, default, roles=roles, required=True, secret=True)


@dataclass(frozen=True)
class Settings:
    """One field for each variable, in lower case. Times carry their unit in the name."""

    role: str

    legacy_sqlite_path: str = _setting(parsing.file_path, "", roles=("user", "auth", "worker"))
    user_database_url: str = _secret(parsing.database_url, "", "user", "worker")
    auth_database_url: str = _secret(parsing.database_url, "", "auth", "worker")
    migration_database_url: str = _secret(parsing.database_url, "", "worker")
    redis_url: str = _secret(parsing.redis_url, "", *ROLES)
    database_timeout_seconds: float = _setting(parsing.number(float, 0.2, 60), 5.0, roles=("user", "auth"))
    redis_timeout_ms: int = _setting(parsing.number(int, 1, 10_000), 50)

    jwt_secret: str = _secret(parsing.text, "", "gateway", "auth")
    allow_weak_jwt_secret: bool = _setting(parsing.switch, False)
    token_ttl_seconds: int = _setting(parsing.number(int, 1, 31 * 86400), 86400)
    revocation_unavailable: str = _setting(parsing.choice("deny", "allow"), "deny")

    gateway_api_keys: tuple[str, ...] = _secret(parsing.words, (), "gateway", "user", "auth")
    user_api_keys: tuple[str, ...] = _secret(parsing.words, (), "user", "auth")
    auth_api_keys: tuple[str, ...] = _secret(parsing.words, (), "user", "auth")

    service_host: str = _setting(parsing.text, "127.0.0.1")
    gateway_host: str = _setting(parsing.text, "127.0.0.1")
    gateway_port: int = _setting(parsing.PORT, 5000)
    gateway_metrics_port: int = _setting(parsing.PORT, 5090)
    user_port: int = _setting(parsing.PORT, 5001)
    auth_port: int = _setting(parsing.PORT, 5002)
    flower_port: int = _setting(parsing.PORT, 5555)
    user_service_urls: tuple[str, ...] = _setting(parsing.http_urls, ("http://127.0.0.1:5001",))
    auth_service_urls: tuple[str, ...] = _setting(parsing.http_urls, ("http://127.0.0.1:5002",))
    frontend_url: tuple[str, ...] = _setting(
        parsing.http_urls, ("http://localhost:3000", "http://localhost:5173")
    )
    trusted_proxies: tuple[str, ...] = _setting(parsing.networks, ())
    drain_notice_seconds: float = _setting(parsing.number(float, 0, 60), 1.5, roles=("user", "auth"))
    upstream_timeout_seconds: float = _setting(parsing.number(float, 0.1, 300), 10.0)
    max_body_bytes: int = _setting(parsing.number(int, 1024, 1 << 30), 1 << 20)

    rate_limit_default: str = _setting(parsing.rate_limit, "600 per minute")
    rate_limit_credentials: str = _setting(parsing.rate_limit, "20 per minute")
    rate_limit_headers: bool = _setting(parsing.switch, True)

    bcrypt_workers: int = _setting(parsing.number(int, 1, 256), 2)
    bcrypt_queue: int = _setting(parsing.number(int, 0, 100_000), 64)
    bcrypt_cost: int = _setting(parsing.number(int, 4, 16), 10)

    audit_retention_days: float = _setting(parsing.number(float, 0.01, 36_500), 365.0, roles=("auth",))
    event_retention_days: float = _setting(parsing.number(float, 0.01, 36_500), 30.0)
    event_poll_seconds: float = _setting(parsing.number(float, 0.01, 60), 1.0)
    event_max_attempts: int = _setting(parsing.number(int, 1, 1000), 8)

    migration_snapshot_dir: str = _setting(parsing.file_path, "", roles=("worker",))
    migration_lease_seconds: float = _setting(parsing.number(float, 0.5, 3600), 20.0, roles=("worker",))
    throttle_latency_ms: int = _setting(parsing.number(int, 1, 600_000), 400, roles=("worker",))
    throttle_lag_entries: int = _setting(parsing.number(int, 1, 10**9), 5000, roles=("worker",))
    cutover_budget_ms: int = _setting(parsing.number(int, 1, 600_000), 1000)
    undo_after_seconds: float = _setting(parsing.number(float, 0.1, 3600), 5.0)

    app_env: str = _setting(parsing.choice("development", "production", "test"), "development")
    log_level: str = _setting(parsing.choice("DEBUG", "INFO", "WARNING", "ERROR", fold=str.upper), "INFO")


def load(role: str, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of `role` (one of `ROLES`), from `environ`.

    Without `environ`: from the process environment, completed from the local stack's file (see `stack_env`).
    A secret may also come from a file named by its variable with `_FILE` behind it.

    Raises:
        SettingsError: with every mistake that there is.
    """
    if role not in ROLES:
        raise ValueError(f"unknown role {role!r}, one of {ROLES}")
    source = stack_environment() if environ is None else environ
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for spec in fields(Settings)[1:]:
        if role in spec.metadata["roles"]:
            try:
                values[spec.name] = _read(spec, source)
            except ValueError as error:
                mistakes.append(f"{spec.name.upper()} {error}")
    settings = Settings(role=role, **values)
    given = {name for name in values if values[name] not in ("", ())}
    mistakes += [mistake for name, mistake in _whole(settings) if name in given]
    if mistakes:
        raise SettingsError(mistakes)
    return settings


def variables(role: str | None = None) -> tuple[str, ...]:
    """The variables that a role reads; without a role all that there are."""
    return tuple(
        spec.name.upper() for spec in fields(Settings)[1:] if role in (None, *spec.metadata["roles"])
    )


def check(environ: Mapping[str, str], roles: Iterable[str] = ROLES) -> None:
    """Raises one SettingsError for the mistakes of all `roles` together."""
    mistakes: list[str] = []
    for role in roles:
        try:
            load(role, environ)
        except SettingsError as error:
            mistakes += error.mistakes
    if mistakes:
        raise SettingsError(mistakes)


def _read(spec: "Field[Any]", environ: Mapping[str, str]) -> Any:
    """One value, or its default; ValueError says what it should be, never what it is: it may be a secret."""
    name = spec.name.upper()
    text = environ.get(name, "").strip()
    if not text and spec.metadata["secret"] and environ.get(f"{name}_FILE"):
        try:
            text = Path(environ[f"{name}_FILE"]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot be read from the file that {name}_FILE names") from error
    if not text and spec.metadata["required"]:
        raise ValueError(f"is missing; it should be {_expected(spec)}")
    if not text:
        return spec.default
    try:
        return spec.metadata["parse"](text)
    except ValueError as error:
        raise ValueError(f"should be {error}") from error


def _expected(spec: "Field[Any]") -> str:
    if spec.name == "jwt_secret":
        return f"the token secret, at least {MIN_JWT_SECRET_BYTES} bytes"
    if spec.name.endswith("_api_keys"):
        return "one API key, or several separated by commas"
    try:
        spec.metadata["parse"](" ")
    except ValueError as error:
        return str(error)
    return "set"


def _whole(settings: Settings) -> Iterable[tuple[str, str]]:
    """Rules over more than one value: (field, mistake)."""
    short = len(settings.jwt_secret.encode()) < MIN_JWT_SECRET_BYTES
    if short and not settings.allow_weak_jwt_secret:
        advice = "or ALLOW_WEAK_JWT_SECRET=1 while tokens signed with an older, short one must stay valid"
        yield "jwt_secret", f"JWT_SECRET should be at least {MIN_JWT_SECRET_BYTES} bytes long, {advice}"
    path = settings.legacy_sqlite_path
    if path and settings.role in ("user", "auth") and not os.path.isfile(path):
        rule = "should name an existing file, or be empty"
        yield "legacy_sqlite_path", f"LEGACY_SQLITE_PATH {rule}; there is no {path}"
    if settings.app_env == "production":
        yield from _production(settings)


def _production(settings: Settings) -> Iterable[tuple[str, str]]:
    if settings.jwt_secret.startswith(SAMPLE_MARK):
        yield "jwt_secret", "JWT_SECRET should be a secret of your own in production, not a sample"
    for name in ("gateway_api_keys", "user_api_keys", "auth_api_keys"):
        keys = cast(tuple[str, ...], getattr(settings, name))
        if any(key.startswith(SAMPLE_MARK) or len(key) < MIN_API_KEY_CHARACTERS for key in keys):
            rule = f"of at least {MIN_API_KEY_CHARACTERS} characters in production, not samples"
            yield name, f"{name.upper()} should be keys of your own {rule}"
