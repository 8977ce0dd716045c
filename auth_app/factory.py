"""Puts the auth service together."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import Flask
from prometheus_client import CollectorRegistry
from redis import RedisError
from sqlalchemy import Engine

from auth_app.keeper import Keeper
from auth_app.metrics import Metrics
from auth_app.mirror import RevocationMirror, connect
from auth_app.passwords import PasswordHasher
from auth_app.publisher import RevocationPublisher
from auth_app.use_cases.change_password import ChangePassword
from auth_app.use_cases.credentials import Credentials
from auth_app.use_cases.login import Login
from auth_app.use_cases.sessions import Sessions
from auth_app.user_directory import HttpUserDirectory
from auth_app.views import internal, public
from auth_app.views import sessions as session_views
from migration.drain import drain_auth_db
from service_kit import http
from service_kit.db import service_engine
from service_kit.errors import Unavailable
from service_kit.events.feed import feed_blueprint
from service_kit.events.status import readiness
from service_kit.service_client import ServiceClient
from service_kit.settings import Settings
from service_kit.tokens import TokenKeys
from service_kit.truth.legacy_file import LegacyFile
from service_kit.truth.router import Truth

PUBLISH_SECONDS = 0.5
"""For Redis, where a request brings a committed revocation: later than that it answers 503, within a second in all."""
KEEPER_SECONDS = 2.0
"""For Redis, where nobody waits."""


@dataclass(frozen=True)
class Service:
    """The application, and what has to be started and stopped with it."""

    app: Flask
    engine: Engine
    keeper: Keeper


def create(settings: Settings) -> Service:
    """The service for `settings`, nothing of it running."""
    app = Flask("auth_app")
    engine = service_engine(
        settings.auth_database_url,
        name="auth service",
        timeout_seconds=settings.database_timeout_seconds,
    )
    path = settings.legacy_sqlite_path
    truth = Truth(LegacyFile(path) if path else None, engine, undo_after=settings.undo_after_seconds)
    asked = RevocationMirror(connect(settings.redis_url, settings.redis_timeout_ms / 1000))
    registry = http.init_app(
        app,
        settings,
        "auth",
        keys_by_prefix={"/api/": settings.gateway_api_keys, "/internal/": settings.user_api_keys},
        checks={
            "credentials": lambda: _ask_truth(truth),
            "auth_db": lambda: _ask_database(engine),
            "redis": lambda: _ask_redis(asked),
        },
    )
    metrics = Metrics(registry)
    _mount(app, settings, engine, truth, metrics)
    return Service(app, engine, keeper_for(settings, engine, metrics))


def keeper_for(settings: Settings, engine: Engine, metrics: Metrics | None = None) -> Keeper:
    """The background work, not started. The events process has one too."""
    mirror = RevocationMirror(connect(settings.redis_url, KEEPER_SECONDS))
    kept = timedelta(days=settings.audit_retention_days)
    return Keeper(engine, mirror, metrics or Metrics(CollectorRegistry()), kept)


def _mount(app: Flask, settings: Settings, engine: Engine, truth: Truth, metrics: Metrics) -> None:
    path = settings.legacy_sqlite_path
    drain = drain_auth_db(path, engine) if path else None
    hasher = PasswordHasher(settings.bcrypt_cost, settings.bcrypt_workers, settings.bcrypt_queue)
    publisher = RevocationPublisher(RevocationMirror(connect(settings.redis_url, PUBLISH_SECONDS)), metrics)
    keys = TokenKeys([settings.jwt_secret])
    sessions = Sessions(engine, truth, keys, publisher, metrics, settings.token_ttl_seconds)
    users = HttpUserDirectory(_user_service(settings))
    login = Login(engine, truth, users, hasher, sessions, metrics)
    change_password = ChangePassword(engine, truth, hasher, publisher, metrics, drain)
    app.register_blueprint(public.blueprint(login, change_password))
    app.register_blueprint(session_views.blueprint(sessions))
    app.register_blueprint(internal.blueprint(Credentials(engine, truth, hasher), sessions))
    app.register_blueprint(feed_blueprint(engine))


def _user_service(settings: Settings) -> ServiceClient:
    return ServiceClient(
        "user service",
        settings.user_service_urls,
        settings.auth_api_keys[0],
        timeout=settings.upstream_timeout_seconds / 2,
    )


def _ask_truth(truth: Truth) -> dict[str, Any]:
    """Which store holds the credentials; it has to answer."""
    return {"store": truth.read(lambda _: "legacy file", lambda _: "auth_db")}


def _ask_database(engine: Engine) -> Mapping[str, Any]:
    """The state of auth_db. While the legacy file holds the credentials, logins do without."""
    try:
        return readiness(engine, "auth")
    except Unavailable:
        return {"status": "unavailable"}


def _ask_redis(mirror: RevocationMirror) -> dict[str, Any]:
    """Whether Redis has every revocation. The service itself does without; the gateway may not."""
    try:
        return {"revocations": "whole" if mirror.is_whole() else "being filled in"}
    except RedisError:
        return {"status": "unavailable"}
