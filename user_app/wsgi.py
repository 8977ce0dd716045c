"""The application as a server process holds it."""

from flask import Flask

from service_kit import draining, log, settings
from service_kit.server import die_with_parent
from user_app import factory


def application() -> Flask:
    """The WSGI application of the user service, its background work begun."""
    die_with_parent()
    loaded = settings.load("user")
    log.setup("user", loaded.log_level)
    service = factory.create(loaded)
    draining.begin_on_signal(service.app)
    service.sweeper.start()
    return service.app
