"""The application as a server process holds it."""

from flask import Flask

from auth_app import factory
from service_kit import draining, log, settings
from service_kit.server import die_with_parent


def application() -> Flask:
    """The WSGI application of the auth service, its background work begun."""
    die_with_parent()
    loaded = settings.load("auth")
    log.setup("auth", loaded.log_level)
    service = factory.create(loaded)
    draining.begin_on_signal(service.app)
    service.keeper.start()
    return service.app
