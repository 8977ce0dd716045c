"""The gateway's own routes: health, the API's description, and the page that shows it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Flask, Response, jsonify, request
from flask_cors import CORS
from flask_limiter import Limiter, RateLimitExceeded
from werkzeug.exceptions import HTTPException

from gateway_app.answers import envelope
from gateway_app.cors import cors_options
from gateway_app.docs_page import render
from gateway_app.limiter_storage import GatekeeperStorage
from gateway_app.limits import Policy, client_key
from gateway_app.openapi import document
from gateway_app.upstream.health import OK, UNAVAILABLE
from service_kit.settings import Settings


@dataclass(frozen=True)
class State:
    """What the routes may ask about the running gateway, from any thread."""

    overview: Callable[[], tuple[dict[str, Any], dict[str, str]]]
    redis_away: Callable[[], bool]
    draining: Callable[[], bool]


def create_flask_app(settings: Settings, policy: Policy, state: State) -> Flask:
    """The Flask application behind the edge: it sees the gateway's own routes only."""
    app = Flask("gateway_app", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    CORS(app, **cors_options(settings.frontend_url))
    limiter = Limiter(
        lambda: client_key(request.environ["gateway.client"]),
        app=app,
        storage_uri=f"{GatekeeperStorage.STORAGE_SCHEME[0]}://",
        strategy="fixed-window",
        headers_enabled=False,  # the edge's own fields, for both kinds of routes
    )
    limited = limiter.shared_limit(policy.text, scope=policy.name)
    app.register_blueprint(_api(limited, state))
    app.register_blueprint(_probes(state))
    app.register_error_handler(HTTPException, _http_error)
    return app


def _api(limited: Callable[..., Callable[..., Response]], state: State) -> Blueprint:
    api = Blueprint("api", __name__, url_prefix="/api")
    description = document()
    page = render(description)

    @limited
    def health() -> Response:
        """Exactly the monolith's three keys; `?details=1` adds the state of everything behind."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body: dict[str, object] = {"success": True, "message": "Server is running", "timestamp": now}
        if request.args.get("details") == "1":
            services, dependencies = state.overview()
            dependencies = {"redis": OK} | dependencies
            if state.redis_away():
                dependencies["redis"] = UNAVAILABLE
            states = [*(service["status"] for service in services.values()), *dependencies.values()]
            body["status"] = OK if all(found == OK for found in states) else "degraded"
            body["services"] = services
            body["dependencies"] = dependencies
        return jsonify(body)

    @limited
    def openapi() -> Response:
        """The description for machines."""
        return jsonify(description)

    @limited
    def docs() -> Response:
        """The description for people."""
        return Response(page, content_type="text/html; charset=utf-8")

    api.add_url_rule("/health", "health", health)
    api.add_url_rule("/openapi.json", "openapi", openapi)
    api.add_url_rule("/docs", "docs", docs)
    return api


def _probes(state: State) -> Blueprint:
    probes = Blueprint("probes", __name__)

    def healthz() -> Response:
        """The process answers."""
        return jsonify(status=OK, service="gateway")

    def readyz() -> tuple[Response, int]:
        """The process wants new clients."""
        if state.draining():
            return jsonify(status=UNAVAILABLE, service="gateway"), 503
        return jsonify(status=OK, service="gateway"), 200

    probes.add_url_rule("/healthz", "healthz", healthz)
    probes.add_url_rule("/readyz", "readyz", readyz)
    return probes


def _http_error(error: HTTPException) -> tuple[bytes, int, dict[str, str]]:
    limited = isinstance(error, RateLimitExceeded)
    code = "rate_limited" if limited else error.name.lower().replace(" ", "_")
    message = "Too many requests, please try again later" if limited else error.name
    answer = envelope(error.code or 500, code, message, request.environ["gateway.correlation_id"])
    return answer.body, answer.status, dict(answer.headers)
