"""Who and what a client's request comes from, as the gateway tells it."""

from flask import request

from auth_app.domain import Client, PresentedToken
from service_kit.identity import client_address, identity, user_agent


def asking_client() -> Client:
    """Where the present request comes from."""
    return Client(client_address(request), user_agent(request))


def presented_token() -> PresentedToken:
    """The token of the present request. Raises service_kit.identity.TokenRequired without one."""
    known = identity(request)
    return PresentedToken(known.user_id, known.email, known.token_id, known.issued_at, known.expires_at)
