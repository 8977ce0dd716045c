"""One structured log line and one Prometheus sample a request. Neither holds a body, a query, a token or a
key.
"""

import logging
import time

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram

from service_kit import correlation
from service_kit.log import set_correlation_id

log = logging.getLogger("access")


def init_app(app: Flask, registry: CollectorRegistry) -> None:
    """Count, time and log every request of `app`, and carry its correlation id in and out."""
    labels = ("method", "route", "status")
    requests = Counter("http_requests_total", "Requests answered", labels, registry=registry)
    seconds = Histogram("http_request_seconds", "Time to the answer", labels[:2], registry=registry)

    def begin() -> None:
        g.started = time.perf_counter()
        g.correlation_id = correlation.accept(request.headers.get(correlation.HEADER))
        set_correlation_id(g.correlation_id)

    def end(response: Response) -> Response:
        elapsed = time.perf_counter() - g.started
        route = str(request.url_rule) if request.url_rule else "unmatched"
        method = request.method if request.url_rule else "other"
        requests.labels(method, route, str(response.status_code)).inc()
        seconds.labels(method, route).observe(elapsed)
        response.headers[correlation.HEADER] = g.correlation_id
        log.info("request", extra=_line(response, elapsed))
        return response

    app.before_request(begin)
    app.after_request(end)
    app.teardown_request(_forget)


def _forget(_error: BaseException | None) -> None:
    set_correlation_id(None)


def _line(response: Response, elapsed: float) -> dict[str, object]:
    return {
        "method": request.method,
        "path": request.path,
        "status": response.status_code,
        "duration_ms": round(elapsed * 1000, 2),
        "bytes": response.calculate_content_length(),
        "client": request.headers.get("X-Forwarded-For"),
        "user_id": request.headers.get("X-User-Id"),
    }
