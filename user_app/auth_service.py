"""The auth service over HTTP (`use_cases.accounts.Accounts`)."""

from collections.abc import Mapping
from typing import Any

from service_kit.errors import Unavailable
from service_kit.identity import Identity
from service_kit.service_client import Answer, ServiceClient
from user_app.domain import Client, User


class HttpAccounts:
    """Speaks to the auth service; an answer outside of the contract counts as no answer."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    def hash_password(self, password: str) -> str:
        """See `Accounts`."""
        answer = self._client.call("POST", "/internal/password-hashes", {"password": password})
        return str(_body(answer, 200)["hash"])

    def put_credential(self, user_id: int, password_hash: str) -> bool:
        """See `Accounts`."""
        answer = self._client.call("PUT", f"/internal/credentials/{user_id}", {"hash": password_hash})
        if answer.status == 409:
            return _decided(answer)
        _body(answer, 200, 201)
        return True

    def settle_credential(self, user_id: int) -> bool:
        """See `Accounts`."""
        answer = self._client.call("POST", f"/internal/credentials/{user_id}/settle", {})
        if answer.status == 409:
            return _decided(answer)
        return bool(_body(answer, 200)["credential"])

    def open_session(self, user: User, client: Client, presented: Identity | None = None) -> str:
        """See `Accounts`."""
        body: dict[str, Any] = {"user_id": user.id, "email": user.email, **vars(client)}
        if presented is not None:
            body |= {"token_id": presented.token_id, "token_issued_at": presented.issued_at}
        answer = self._client.call("POST", "/internal/sessions", body, repeatable=False)
        return str(_body(answer, 201)["token"])


def _decided(answer: Answer) -> bool:
    """Whether there is a credential, by a refusal: given up there is none, on the other side it says so."""
    code = answer.body.get("code")
    if code == "given_up":
        return False
    if code == "wrong_side" and isinstance(answer.body.get("credential"), bool):
        return bool(answer.body["credential"])
    raise Unavailable(f"the auth service refused with {code}")


def _body(answer: Answer, *expected: int) -> Mapping[str, Any]:
    if answer.status not in expected:
        raise Unavailable(f"the auth service answered {answer.status}")
    return answer.body
