"""What every HTTP service of ours has: one error envelope, correlation ids, access log, API keys, health,
body limit.

The only place that knows HTTP statuses for `service_kit.errors`.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Flask, Response, g, jsonify, request
from prometheus_client import CollectorRegistry
from werkzeug.exceptions import HTTPException

from service_kit import access_log, api_keys, draining, health
from service_kit.errors import (
    AppError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from service_kit.json_body import read_json_fields
from service_kit.settings import Settings
from service_kit.validation import ValidationFailed

log = logging.getLogger(__name__)

_STATUS: tuple[tuple[type[AppError], int], ...] = (
    (Invalid, 400),
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (TooManyRequests, 429),
    (Unavailable, 503),
)
INTERNAL_ERROR = "Internal server error"


def init_app(
    app: Flask,
    settings: Settings,
    service: str,
    *,
    keys_by_prefix: Mapping[str, Iterable[str]],
    checks: Mapping[str, health.Check],
) -> CollectorRegistry:
    """Set `app` up as the service named `service`; answers the registry for further metrics.

    `keys_by_prefix`: path prefix -> API keys that open it (`service_kit.api_keys`). `checks`: dependency ->
    check, shown by /readyz (`service_kit.health`).
    """
    registry = CollectorRegistry()
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # a path with two slashes is an unknown one, not a redirect
    app.json.sort_keys = False  # type: ignore[attr-defined]
    access_log.init_app(app, registry)
    api_keys.init_app(app, keys_by_prefix)
    health.init_app(app, registry, service, checks, draining.init_app(app))
    app.register_error_handler(AppError, _app_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)
    return registry


def json_fields() -> dict[str, Any]:
    """The present request's JSON fields, bounded by the application's body limit."""
    return read_json_fields(request, request.max_content_length or 0)


def error_body(message: str, code: str) -> dict[str, Any]:
    """The envelope of an error that no recorded answer of the legacy server covers."""
    return {"success": False, "message": message, "code": code, "request_id": g.get("correlation_id")}


def status_of(error: AppError) -> int:
    """The HTTP status for an error of ours."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def _app_error(error: AppError) -> tuple[Response, int]:
    status = status_of(error)
    message = error.default_message if status >= 500 else error.message  # a 5xx never shows its cause
    body = {"success": False, "message": message} if error.bare else error_body(message, error.code)
    if isinstance(error, ValidationFailed):
        body["errors"] = error.errors
    response = jsonify(body)
    if isinstance(error, TooManyRequests | Unavailable):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unavailable):
        log.warning("answered unavailable: %s; cause: %r", error.message, error.__cause__)
    return response, status


def _http_error(error: HTTPException) -> tuple[Response, int]:
    status = error.code or 500
    if status < 400:  # a redirect; nothing of ours raises one
        return Response(error.get_response()), status  # type: ignore[arg-type]
    code = error.name.lower().replace(" ", "_")
    told = error.description if status in (400, 415) else None
    message = INTERNAL_ERROR if status >= 500 else told or error.name
    response = jsonify(error_body(message, code))
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after", "www-authenticate"):
            response.headers[name] = value
    return response, status


def _unexpected(error: Exception) -> tuple[Response, int]:
    log.error("unexpected error", exc_info=error)
    return jsonify(error_body(INTERNAL_ERROR, "internal_error")), 500
