"""The routes of our other services. They send what this project's own code makes, so a mistake is theirs: 400."""

from typing import Any, TypeVar

from flask import Blueprint, Response, jsonify, request

from auth_app.domain import Client
from auth_app.passwords import is_hash
from auth_app.use_cases.credentials import Credentials, WrongSide
from auth_app.use_cases.sessions import ContinuedToken, Sessions
from service_kit.errors import Invalid
from service_kit.http import error_body

T = TypeVar("T")
_INT64 = range(-(2**63), 2**63)


def blueprint(credentials: Credentials, sessions: Sessions) -> Blueprint:
    """The internal routes on these use cases."""
    routes = Blueprint("internal", __name__, url_prefix="/internal")
    routes.register_error_handler(WrongSide, _wrong_side)

    @routes.post("/password-hashes")
    def hash_password() -> Response:
        return jsonify(hash=credentials.hash(_field(_body(), "password", str)))

    @routes.put("/credentials/<int(signed=True):user_id>")
    def put_credential(user_id: int) -> tuple[Response, int]:
        stored = _field(_body(), "hash", str)
        if not is_hash(stored):
            raise Invalid("hash must be a bcrypt hash")
        added = credentials.put(_int64(user_id), stored)
        return jsonify(credential=True), 201 if added else 200

    @routes.post("/credentials/<int(signed=True):user_id>/settle")
    def settle(user_id: int) -> Response:
        return jsonify(credential=credentials.settle(_int64(user_id)))

    @routes.post("/sessions")
    def open_session() -> tuple[Response, int]:
        body = _body()
        user_id = _int64(_field(body, "user_id", int))
        client = Client(_field(body, "ip", str)[:64], _field(body, "user_agent", str)[:512])
        after = None
        if body.get("token_id") is not None:
            issued_at = (
                _field(body, "token_issued_at", int) if body.get("token_issued_at") is not None else None
            )
            after = ContinuedToken(_field(body, "token_id", str), issued_at)
        return jsonify(token=sessions.open(user_id, _field(body, "email", str), client, after)), 201

    return routes


def _body() -> dict[str, Any]:
    """The JSON object of the request. Whole numbers stay whole: ids have 64 bits."""
    value = request.get_json()
    if not isinstance(value, dict):
        raise Invalid("the body must be a JSON object")
    return value


def _field(body: dict[str, Any], name: str, kind: type[T]) -> T:
    value = body.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Invalid(f"{name} must be of type {kind.__name__}")
    return value


def _int64(value: int) -> int:
    if value not in _INT64:
        raise Invalid("an id must be a 64-bit number")
    return value


def _wrong_side(error: WrongSide) -> tuple[Response, int]:
    return jsonify(error_body(error.message, error.code) | {"credential": error.credential}), 409
