"""The user service, as far as a login needs it."""

from auth_app.use_cases.login import KnownUser
from service_kit.errors import Unavailable
from service_kit.service_client import ServiceClient


class HttpUserDirectory:
    """Looks users up over HTTP (`login.UserDirectory`)."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    def by_email(self, email: str) -> KnownUser | None:
        """See `login.UserDirectory`."""
        answer = self._client.call("POST", "/internal/users/lookup", {"email": email})
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise Unavailable
        return KnownUser(answer.body["id"], answer.body["email"], answer.body["name"])
