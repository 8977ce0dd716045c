"""Notes become log lines and metrics."""

import io
import json
import time

from prometheus_client import generate_latest

from gateway_app.journal import Journal, Note
from gateway_app.metrics import Metrics


def note(**changes: object) -> Note:
    values = {
        "at": 1_700_000_000.25,
        "method": "GET",
        "route": "/api/profile",
        "status": 200,
        "seconds": 0.0123,
        "client": "::1",
        "user_id": -5,
        "upstream": "127.0.0.1:5001",
        "correlation_id": "abc-12345",
    }
    return Note(**{**values, **changes})


def test_a_line_is_json_in_the_form_of_all_services() -> None:
    stream = io.StringIO()
    journal = Journal(stream, Metrics())
    journal.add(note())
    journal.add(note(user_id=None, upstream=""))
    journal.stop()
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first == {
        "timestamp": "2023-11-14T22:13:20.250+00:00",
        "level": "INFO",
        "service": "gateway",
        "logger": "access",
        "message": "request",
        "method": "GET",
        "route": "/api/profile",
        "status": 200,
        "duration_ms": 12.3,
        "client": "::1",
        "user_id": -5,
        "upstream": "127.0.0.1:5001",
        "correlation_id": "abc-12345",
    }
    assert second["user_id"] is None and second["upstream"] == ""


def test_requests_are_counted_by_route_and_timed_in_buckets() -> None:
    metrics = Metrics()
    journal = Journal(io.StringIO(), metrics)
    for seconds in (0.001, 0.0011, 0.3, 60.0):
        journal.add(note(seconds=seconds))
    journal.stop()
    text = generate_latest(metrics.registry).decode()
    labels = 'method="GET",route="/api/profile"'
    assert f'http_requests_total{{{labels},status="200"}} 4.0' in text
    assert f'http_request_seconds_bucket{{le="0.001",{labels}}} 1.0' in text
    assert f'http_request_seconds_bucket{{le="0.5",{labels}}} 3.0' in text
    assert f'http_request_seconds_bucket{{le="+Inf",{labels}}} 4.0' in text
    assert f"http_request_seconds_count{{{labels}}} 4.0" in text


def test_notes_are_written_soon_without_anybody_waiting() -> None:
    stream = io.StringIO()
    journal = Journal(stream, Metrics())
    journal.start()
    journal.add(note())
    deadline = time.monotonic() + 5
    while not stream.getvalue() and time.monotonic() < deadline:
        time.sleep(0.01)
    journal.stop()
    assert json.loads(stream.getvalue())["route"] == "/api/profile"
