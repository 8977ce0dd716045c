"""Puts the user service together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask
from sqlalchemy import Engine

from migration.drain import drain_user_db
from service_kit import http
from service_kit.db import service_engine
from service_kit.errors import Unavailable
from service_kit.events.feed import feed_blueprint
from service_kit.events.status import readiness
from service_kit.service_client import ServiceClient
from service_kit.settings import Settings
from service_kit.truth.legacy_file import LegacyFile
from service_kit.truth.router import Truth
from user_app.auth_service import HttpAccounts
from user_app.sweeper import Sweeper
from user_app.use_cases.activity import ActivityFeed
from user_app.use_cases.preferences import PreferenceKeeping
from user_app.use_cases.profiles import Profiles
from user_app.use_cases.registration import Registration
from user_app.use_cases.settling import Settling
from user_app.views import internal, public


@dataclass(frozen=True)
class Service:
    """The application, and what has to be started and stopped with it."""

    app: Flask
    engine: Engine
    sweeper: Sweeper


def create(settings: Settings) -> Service:
    """The service for `settings`, nothing of it running."""
    app = Flask("user_app")
    engine = service_engine(
        settings.user_database_url,
        name="user service",
        timeout_seconds=settings.database_timeout_seconds,
    )
    truth = _truth(settings, engine)
    http.init_app(
        app,
        settings,
        "user",
        keys_by_prefix={"/api/": settings.gateway_api_keys, "/internal/": settings.auth_api_keys},
        checks={"users": lambda: _ask_truth(truth), "user_db": lambda: _ask_database(engine)},
    )
    accounts = HttpAccounts(_auth_service(settings))
    settling = Settling(truth, engine, accounts)
    _mount(app, engine, truth, accounts, settling)
    return Service(app, engine, Sweeper(settling))


def _mount(app: Flask, engine: Engine, truth: Truth, accounts: HttpAccounts, settling: Settling) -> None:
    profiles = Profiles(truth, accounts)
    registration = Registration(truth, accounts, settling)
    preferences = PreferenceKeeping(engine, profiles)
    activity = ActivityFeed(engine, profiles)
    app.register_blueprint(public.blueprint(registration, profiles, preferences, activity))
    app.register_blueprint(internal.blueprint(profiles))
    app.register_blueprint(feed_blueprint(engine))


def _truth(settings: Settings, engine: Engine) -> Truth:
    path = settings.legacy_sqlite_path
    file, drain = (LegacyFile(path), drain_user_db(path, engine)) if path else (None, None)
    return Truth(file, engine, drain, undo_after=settings.undo_after_seconds)


def _auth_service(settings: Settings) -> ServiceClient:
    return ServiceClient(
        "auth service",
        settings.auth_service_urls,
        settings.user_api_keys[0],
        timeout=settings.upstream_timeout_seconds / 2,
    )


def _ask_truth(truth: Truth) -> dict[str, Any]:
    """Which store holds the users; it has to answer."""
    return {"store": truth.read(lambda _: "legacy file", lambda _: "user_db")}


def _ask_database(engine: Engine) -> Mapping[str, Any]:
    """The state of user_db. While the legacy file holds the users, the service can do without."""
    try:
        return readiness(engine, "user")
    except Unavailable:
        return {"status": "unavailable"}
