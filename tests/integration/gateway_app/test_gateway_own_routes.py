"""Health, description, probes, log lines and metrics."""

import json
import re
import urllib.request
from typing import Any

from tests.support.gateway import Gateway, bearer, running, token
from tests.support.upstream import Upstream, reply
from tests.support.waiting import wait_until


def test_health_has_the_three_keys_of_the_monolith(gateway: Gateway) -> None:
    answer = gateway.request("GET", "/api/health")
    assert (answer.status, list(answer.json)) == (200, ["success", "message", "timestamp"])
    assert (answer.json["success"], answer.json["message"]) == (True, "Server is running")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer.json["timestamp"])
    assert list(gateway.request("GET", "/api/health?details=0").json) == ["success", "message", "timestamp"]


def test_health_with_details_shows_every_service_and_dependency(folder: Any, redis_url: str) -> None:
    with Upstream() as user, Upstream() as auth:
        settings = {"user_service_urls": f"{user.url},http://127.0.0.1:1", "auth_service_urls": auth.url}
        with running(folder, redis_url, **settings) as gateway:

            def details() -> dict[str, Any]:
                return gateway.request("GET", "/api/health?details=1").json

            wait_until(lambda: details()["services"]["auth"]["status"] == "ok", what="the first check")
            found = details()
            assert found["status"] == "ok"
            assert found["services"] == {
                "user": {"status": "ok", "instances": {"user-1": "ok", "user-2": "down"}},
                "auth": {"status": "ok", "instances": {"auth-1": "ok"}},
            }
            assert found["dependencies"] == {"redis": "ok", "user_db": "ok"}
            auth.ready = False
            wait_until(
                lambda: details()["services"]["auth"]["status"] == "unavailable", what="a failing check"
            )
            found = details()
            assert found["status"] == "degraded" and found["dependencies"]["user_db"] == "unavailable"
            auth.ready = True
            wait_until(lambda: details()["status"] == "ok", what="recovery")


def test_the_description_and_its_page_are_served(gateway: Gateway) -> None:
    description = gateway.request("GET", "/api/openapi.json")
    assert description["content-type"] == "application/json" and description.json["openapi"] == "3.1.0"
    page = gateway.request("GET", "/api/docs")
    assert page["content-type"] == "text/html; charset=utf-8" and b"/api/change-password" in page.body


def test_metrics_have_a_port_of_their_own(gateway: Gateway) -> None:
    gateway.request("GET", "/api/profile", bearer())
    for target in ("/metrics", "/api/metrics", "/api/../metrics"):
        assert gateway.request("GET", target).status in (400, 404)

    def metrics() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{gateway.metrics_port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    line = 'http_requests_total{method="GET",route="/api/profile",status="200"}'
    wait_until(lambda: line in metrics() and 'route="unmatched"' in metrics(), what="the counts")
    text = metrics()
    assert "redis_up 1.0" in text and "/api/metrics" not in text
    assert re.search(
        r'upstream_attempts_total{instance="127.0.0.1:\d+",outcome="answered",service="user"}', text
    )


def test_a_request_leaves_one_line_without_secrets(gateway: Gateway, upstream: Upstream) -> None:
    secret, query = token(4711), "query-secret-1234"
    ids = [f"test-of-log-lines-{number}" for number in range(3)]
    gateway.request("GET", f"/api/profile?x={query}", {**bearer(secret), "X-Correlation-ID": ids[0]})
    gateway.request("POST", "/api/login", {"X-Correlation-ID": ids[1]}, {"password": "body-secret-1234"})
    gateway.request("BREW", f"/api/{query}", {"X-Correlation-ID": ids[2], "User-Agent": 'x"\t{"evil": 1}'})

    def noted() -> list[dict[str, Any]]:
        return [line for line in gateway.access_lines() if line["correlation_id"] in ids]

    wait_until(lambda: len(noted()) == 3, what="three lines")
    lines = noted()
    assert [line["correlation_id"] for line in lines] == ids
    profile, login, brew = lines
    assert (profile["method"], profile["route"], profile["status"]) == ("GET", "/api/profile", 200)
    assert (profile["user_id"], profile["client"]) == (4711, "127.0.0.1")
    assert profile["upstream"] == f"127.0.0.1:{upstream.port}" and profile["duration_ms"] > 0
    assert (login["route"], login["user_id"]) == ("/api/login", None)
    assert (brew["method"], brew["route"], brew["status"], brew["upstream"]) == (
        "other",
        "unmatched",
        405,
        "",
    )
    log = gateway.log
    for hidden in (secret, query, "body-secret-1234", "evil"):
        assert hidden not in log


def test_every_line_of_the_log_is_json(gateway: Gateway, upstream: Upstream) -> None:
    upstream.act = lambda *_: reply(500, b"no json", Content_Type="text/plain")
    answer = gateway.request("GET", "/api/profile", bearer())
    wait_until(lambda: answer["x-correlation-id"] in gateway.log, what="the line")
    for line in gateway.log.splitlines():
        assert json.loads(line)["service"] == "gateway"
