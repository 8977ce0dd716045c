"""The application as a server process holds it."""

from flask import Flask

from service_kit import log, server, settings
from user_app import factory


def application() -> Flask:
    """The WSGI application of the user service, its background work begun."""
    server.enter_worker()
    loaded = settings.load("user")
    log.setup("user", loaded.log_level)
    service = factory.create(loaded)
    service.sweeper.start()
    server.receive_in_worker(service.app)
    return service.app
