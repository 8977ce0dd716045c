"""Rate limits over HTTP: per user, per address, stricter for credentials, one count for all kinds of routes."""

import json
import re
from typing import Any

import pytest
from redis import Redis

from tests.support.gateway import Gateway, bearer, running, token
from tests.support.upstream import Upstream

SETTINGS = {
    "rate_limit_default": "10 per minute; 1000 per hour",
    "rate_limit_credentials": "3 per minute",
    "trusted_proxies": "127.0.0.1/32",
}


def of(address: str, **more: str) -> dict[str, str]:
    """Headers of a client behind the trusted proxy."""
    return {"X-Forwarded-For": address, **more}


def statuses(
    gateway: Gateway, count: int, headers: Any, target: str = "/api/profile", method: str = "GET"
) -> list[int]:
    with gateway.client() as client:
        return [client.request(method, target, headers).status for _ in range(count)]


def test_an_address_gets_so_many_requests(gateway: Gateway, upstream: Upstream) -> None:
    users = [bearer(token(number)) for number in range(12)]
    found = [gateway.request("GET", "/api/profile", {**of("1.1.1.1"), **user}).status for user in users]
    assert found == [200] * 10 + [429] * 2
    assert len(upstream.received) == 10
    assert gateway.request("GET", "/api/profile", {**of("1.1.1.2"), **users[0]}).status == 200


def test_a_user_gets_so_many_requests_from_wherever(gateway: Gateway) -> None:
    user = bearer()
    found = [
        gateway.request("GET", "/api/profile", {**of(f"2.2.2.{number}"), **user}).status
        for number in range(12)
    ]
    assert found == [200] * 10 + [429] * 2
    assert gateway.request("GET", "/api/profile", {**of("2.2.2.1"), **bearer(token(8))}).status == 200


def test_credentials_are_limited_more_strictly_and_on_their_own(gateway: Gateway) -> None:
    client = of("3.3.3.3")
    assert statuses(gateway, 3, client, "/api/login", "POST") == [200, 200, 200]
    assert statuses(gateway, 1, client, "/api/register", "POST") == [429]
    assert statuses(gateway, 10, {**client, **bearer()}) == [200] * 10


def test_what_is_refused_or_leads_nowhere_counts_too(gateway: Gateway) -> None:
    for target, headers in (("/api/profile", bearer("nope")), ("/api/profile", {}), ("/api/nope", {})):
        client = of(f"4.4.4.{len(target) + len(headers)}", **headers)
        found = statuses(gateway, 12, client, target)
        assert found[9] in (401, 403, 404) and found[10:] == [429, 429]


def test_the_gateways_own_routes_and_the_others_count_in_one_place(gateway: Gateway) -> None:
    client = {**of("5.5.5.5"), **bearer()}
    assert statuses(gateway, 5, client) == [200] * 5
    assert statuses(gateway, 5, client, "/api/health") == [200] * 5
    for target in ("/api/health", "/api/profile", "/api/docs", "/api/openapi.json"):
        assert statuses(gateway, 1, client, target) == [429]
    assert statuses(gateway, 3, client, "/healthz") == [200] * 3


def test_a_client_of_one_network_cannot_escape_by_another_address(gateway: Gateway) -> None:
    found = [gateway.request("GET", "/api/nope", of(f"2001:db8::{number:x}")).status for number in range(12)]
    assert found == [404] * 10 + [429] * 2


def test_every_answer_tells_what_is_left(gateway: Gateway) -> None:
    answer = gateway.request("GET", "/api/profile", {**of("6.6.6.6"), **bearer(token(66))})
    assert answer["ratelimit-policy"] == (
        '"default-user";q=10;w=60, "default-user";q=1000;w=3600, "default-ip";q=10;w=60, "default-ip";q=1000;w=3600'
    )
    assert re.fullmatch(
        r'"default-user";r=9;t=60, "default-user";r=999;t=3600, "default-ip";r=9;t=60, "default-ip";r=999;t=3600',
        answer["ratelimit"],
    )
    assert (answer["x-ratelimit-limit"], answer["x-ratelimit-remaining"]) == ("10", "9")
    assert answer.all("retry-after") == []
    own = gateway.request("GET", "/api/health", of("6.6.6.6"))
    assert own["ratelimit"] == '"default-ip";r=8;t=60, "default-ip";r=998;t=3600'
    assert own["x-ratelimit-remaining"] == "8"


@pytest.mark.parametrize("target", ["/api/profile", "/api/health", "/api/nope"])
def test_too_many_requests_are_told_so_in_the_envelope(gateway: Gateway, target: str) -> None:
    client = of(f"7.7.7.{len(target)}", **bearer(token(77)))
    statuses(gateway, 10, client, target)
    answer = gateway.request("GET", target, {**client, "Origin": "http://localhost:3000"})
    assert answer.status == 429 and answer["content-type"] == "application/json; charset=utf-8"
    assert answer.json == {
        "success": False,
        "message": "Too many requests, please try again later",
        "code": "rate_limited",
        "request_id": answer["x-correlation-id"],
    }
    assert 1 <= int(answer["retry-after"]) <= 60 and answer["x-ratelimit-remaining"] == "0"
    assert answer["access-control-allow-origin"] == "http://localhost:3000"


def test_the_headers_may_be_switched_off(folder: Any, redis_url: str, upstream: Upstream) -> None:
    settings = {
        "user_service_urls": upstream.url,
        "rate_limit_headers": "off",
        "rate_limit_default": "1 per minute",
    }
    with running(folder, redis_url, **settings) as gateway:
        for target in ("/api/profile", "/api/health"):
            answer = gateway.request("GET", target, bearer())
            assert [name for name, _ in answer.headers if "ratelimit" in name] == []
        for target in ("/api/profile", "/api/health"):
            answer = gateway.request("GET", target, bearer())
            assert answer.status == 429 and int(answer["retry-after"]) > 0


def test_a_request_costs_one_round_trip_to_redis(gateway: Gateway, redis_url: str) -> None:
    gateway.request("GET", "/api/profile", bearer())  # the script is loaded
    with Redis.from_url(redis_url) as redis:
        asked = [
            ("GET", "/api/profile", bearer()),
            ("GET", "/api/profile", bearer("nope")),
            ("POST", "/api/login", {}),
            ("GET", "/api/health", {}),
            ("GET", "/api/nope", {}),
        ]
        for number, (method, target, headers) in enumerate(asked):
            redis.config_resetstat()
            gateway.request(method, target, {**headers, **of(f"8.8.8.{number}")})
            scripted = redis.info("commandstats")
            assert scripted["cmdstat_evalsha"]["calls"] == 1, (target, json.dumps(scripted))
            assert "cmdstat_eval" not in scripted
