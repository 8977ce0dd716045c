"""Cross-origin requests through the gateway, on its own routes, on those it passes on, and on errors."""

import pytest

from tests.support.gateway import Gateway, bearer
from tests.support.upstream import Upstream, reply

FRONT_END = "http://localhost:5173"
TARGETS = [
    ("GET", "/api/profile", 200),
    ("GET", "/api/health", 200),
    ("GET", "/api/docs", 200),
    ("POST", "/api/login", 200),
    ("GET", "/api/nope", 404),
    ("PATCH", "/api/profile", 405),
    ("GET", "/api//profile", 400),
]


@pytest.mark.parametrize(("method", "target", "status"), TARGETS)
def test_the_front_end_may_read_every_answer(gateway: Gateway, method: str, target: str, status: int) -> None:
    answer = gateway.request(method, target, {**bearer(), "Origin": FRONT_END})
    assert answer.status == status
    assert answer["access-control-allow-origin"] == FRONT_END
    assert answer["access-control-allow-credentials"] == "true"
    assert {"X-Correlation-ID", "RateLimit", "Retry-After"} <= set(
        answer["access-control-expose-headers"].split(", ")
    )
    assert "Origin" in answer.all("vary")


@pytest.mark.parametrize(("method", "target", "status"), TARGETS)
@pytest.mark.parametrize("origin", ["http://evil.example", "null", f"{FRONT_END}.evil.example"])
def test_nobody_else_may(gateway: Gateway, method: str, target: str, status: int, origin: str) -> None:
    answer = gateway.request(method, target, {**bearer(), "Origin": origin})
    assert answer.status == status
    assert [name for name, _ in answer.headers if name.startswith("access-control-")] == []
    assert "Origin" in answer.all("vary")


@pytest.mark.parametrize("target", ["/api/profile", "/api/login", "/api/health", "/api/sessions/abc"])
def test_a_preflight_is_answered_by_the_gateway_without_a_token(
    gateway: Gateway, upstream: Upstream, target: str
) -> None:
    asked = {
        "Origin": FRONT_END,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    answer = gateway.request("OPTIONS", target, asked)
    assert (answer.status, answer.body, upstream.received) == (204, b"", [])
    assert answer["access-control-allow-origin"] == FRONT_END
    assert "PUT" in answer["access-control-allow-methods"].split(", ")
    assert answer["access-control-allow-headers"] == "authorization, content-type"
    assert answer["access-control-max-age"] == "600"
    answer = gateway.request("OPTIONS", target, {**asked, "Origin": "http://evil.example"})
    assert answer.status == 204
    assert [name for name, _ in answer.headers if name.startswith("access-control-")] == []


def test_a_services_own_words_on_it_do_not_count(gateway: Gateway, upstream: Upstream) -> None:
    upstream.act = lambda *_: reply(200, {"success": True}, Access_Control_Allow_Origin="*", Vary="Accept")
    answer = gateway.request("GET", "/api/profile", {**bearer(), "Origin": FRONT_END})
    assert answer["access-control-allow-origin"] == FRONT_END
    assert sorted(answer.all("vary")) == ["Accept", "Origin"]
