"""/healthz (the process answers), /readyz (so do its dependencies) and /metrics (Prometheus text)."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from service_kit.draining import Draining

log = logging.getLogger(__name__)

Check = Callable[[], Mapping[str, Any] | None]
"""Raises when the service is of no use without the dependency; may answer details, which are shown, a
`status` other than "ok" among them when the service can do without.
"""


def init_app(
    app: Flask,
    registry: CollectorRegistry,
    service: str,
    checks: Mapping[str, Check],
    draining: Draining,
) -> None:
    """Register the three routes. `checks`: dependency -> Check; any that raises makes /readyz answer 503, and so
    does draining.
    """

    def healthz() -> Response:
        return jsonify(status="ok", service=service)

    def readyz() -> tuple[Response, int]:
        answers = {name: _ask(name, check) for name, check in checks.items()}
        ready = all(usable for usable, _ in answers.values())
        dependencies = {name: state for name, (_, state) in answers.items()}
        ready = ready and not draining.begun
        body = jsonify(status="ok" if ready else "unavailable", service=service, dependencies=dependencies)
        return body, 200 if ready else 503

    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    for view in (healthz, readyz, metrics):
        app.add_url_rule(f"/{view.__name__}", view.__name__, view)


def _ask(name: str, check: Check) -> tuple[bool, dict[str, Any]]:
    """(the service can work, what is shown)."""
    started = time.perf_counter()
    try:
        state = {"status": "ok", **(check() or {})}
        usable = True
    except Exception as error:  # noqa: BLE001, whatever it is, the dependency cannot be used
        log.warning("dependency %s is not ready: %r; cause: %r", name, error, error.__cause__)
        state, usable = {"status": "unavailable"}, False
    return usable, {**state, "latency_ms": round((time.perf_counter() - started) * 1000, 2)}
