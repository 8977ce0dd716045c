"""The routes of our other services."""

from flask import Blueprint, Response, jsonify

from service_kit.errors import Invalid
from service_kit.http import json_fields
from service_kit.validation import is_storable
from user_app.domain import UserNotFound
from user_app.use_cases.profiles import Profiles


def blueprint(profiles: Profiles) -> Blueprint:
    """The internal routes on these use cases."""
    routes = Blueprint("internal", __name__, url_prefix="/internal")

    @routes.post("/users/lookup")
    def look_up() -> Response:
        email = json_fields().get("email")
        if not isinstance(email, str) or not is_storable(email):
            raise Invalid("email must be a text")
        user = profiles.find(email)
        if user is None:
            raise UserNotFound
        return jsonify(id=user.id, email=user.email, name=user.name)

    return routes
