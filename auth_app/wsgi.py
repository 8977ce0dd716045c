"""The application as a server process holds it."""

from flask import Flask

from auth_app import factory
from service_kit import log, server, settings


def application() -> Flask:
    """The WSGI application of the auth service, its background work begun."""
    server.enter_worker()
    loaded = settings.load("auth")
    log.setup("auth", loaded.log_level)
    service = factory.create(loaded)
    service.keeper.start()
    server.receive_in_worker(service.app)
    return service.app
