"""What a service learns of a request: who asks, from where, under which id; and nothing that a client makes up."""

import re

import pytest

from service_kit.tokens import legacy_token_id
from tests.support.environment import GATEWAY_API_KEY
from tests.support.gateway import Gateway, bearer, legacy_token, token
from tests.support.upstream import Received, Upstream, reply

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

SPOOFS = [
    ("X-User-Id", "1"),
    ("X_User_Id", "1"),
    ("x_user_id", "1"),
    ("X-User-Email", "eve@example.com"),
    ("X_Token_Id", "stolen"),
    ("X-Token-Issued", "0"),
    ("X_API_KEY", "wrong"),
    ("X-API-Key", "wrong"),
    ("X-Forwarded-For", "1.1.1.1"),
    ("X_Forwarded_For", "1.1.1.1"),
    ("X-Forwarded-Host", "evil.example"),
    ("Forwarded", "for=1.1.1.1"),
    ("X-Real-IP", "1.1.1.1"),
    ("X_Correlation_ID", "spoofed-underscore"),
]


def asked(upstream: Upstream) -> Received:
    (request,) = upstream.received
    return request


def test_a_service_learns_who_asks_from_the_token_alone(gateway: Gateway, upstream: Upstream) -> None:
    text = token(7, "zoë@example.com")
    fields = [*SPOOFS, ("Authorization", f"Bearer {text}"), ("X-Correlation-ID", "given-by-client.1")]
    answer = gateway.request("PUT", "/api/profile", fields, {"name": "Zoë"})
    request = asked(upstream)
    assert answer["x-correlation-id"] == "given-by-client.1"
    assert request.get("x-user-id") == "7"
    assert request.get("x-user-email") == "zo%C3%AB@example.com"
    assert request.get("x-api-key") == GATEWAY_API_KEY
    assert request.get("x-forwarded-for") == "127.0.0.1"
    assert request.get("x-correlation-id") == "given-by-client.1"
    for absent in ("authorization", "forwarded", "x-real-ip", "x-forwarded-host"):
        assert request.all(absent) == []
    assert [name for name, _ in request.headers if "_" in name] == []
    assert "stolen" not in request.raw.decode() and "wrong" not in request.raw.decode()
    assert text not in request.raw.decode()


def test_without_a_token_a_service_learns_of_no_user(gateway: Gateway, upstream: Upstream) -> None:
    gateway.request("POST", "/api/login", [*SPOOFS, *bearer().items()], {"email": "a@example.com"})
    request = asked(upstream)
    assert [name for name, _ in request.headers if name.lower().startswith(("x-user", "x-token"))] == []
    assert request.get("x-api-key") == GATEWAY_API_KEY


def test_a_token_of_the_monolith_is_known_by_its_hash(gateway: Gateway, upstream: Upstream) -> None:
    text = legacy_token(9, "old@example.com", iat=1_700_000_000, exp=1_700_000_000 + 31 * 86400)
    assert gateway.request("GET", "/api/profile", bearer(text)).status == 403
    text = legacy_token(9, "old@example.com")
    assert gateway.request("POST", "/api/logout", bearer(text)).status == 200
    assert (asked(upstream).get("x-user-id"), asked(upstream).get("x-token-id")) == (
        "9",
        legacy_token_id(text),
    )


@pytest.mark.parametrize(
    "given", ["", "short", "a" * 129, "with space in", 'quote"d-id', "línea-nueva-1", "{}[]()<>"]
)
def test_an_ill_formed_correlation_id_is_replaced(gateway: Gateway, upstream: Upstream, given: str) -> None:
    answer = gateway.request("GET", "/api/profile", {**bearer(), "X-Correlation-ID": given})
    assert UUID.fullmatch(answer["x-correlation-id"])
    assert asked(upstream).get("x-correlation-id") == answer["x-correlation-id"]


def test_an_answer_shows_neither_what_serves_it_nor_what_a_hop_says(
    gateway: Gateway, upstream: Upstream
) -> None:
    upstream.act = lambda *_: reply(
        200,
        {"success": True},
        Server="granian",
        Connection="keep-alive, X-Hop",
        X_Hop="1",
        X_Correlation_ID="another-one",
        X_Frame_Options="ALLOWALL",
        Access_Control_Allow_Origin="*",
        ETag='"1"',
    )
    answer = gateway.request("GET", "/api/profile", bearer())
    assert answer["x-frame-options"] == "SAMEORIGIN" and answer["etag"] == '"1"'
    assert answer["x-correlation-id"] != "another-one" and answer["cache-control"] == "no-store"
    for absent in ("server", "x-hop", "connection", "access-control-allow-origin"):
        assert answer.all(absent) == []


def test_a_failure_without_our_envelope_is_not_shown(gateway: Gateway, upstream: Upstream) -> None:
    upstream.act = lambda *_: reply(500, b"<h1>Traceback: secret</h1>", Content_Type="text/html")
    answer = gateway.request("GET", "/api/profile", bearer())
    assert (answer.status, answer.json["code"]) == (502, "bad_gateway") and b"secret" not in answer.body
    upstream.act = lambda *_: reply(500, {"success": False, "message": "Internal server error"})
    answer = gateway.request("GET", "/api/profile", bearer())
    assert (answer.status, answer.json["message"]) == (500, "Internal server error")


def test_that_a_service_does_not_know_the_gateway_is_no_clients_business(
    gateway: Gateway, upstream: Upstream
) -> None:
    upstream.act = lambda *_: reply(401, {"success": False, "message": "A key", "code": "api_key_required"})
    assert gateway.request("GET", "/api/profile", bearer()).status == 502


def test_the_clients_address_comes_from_a_trusted_proxy_only(
    folder: object, redis_url: str, upstream: Upstream
) -> None:
    from tests.support.gateway import running

    with running(folder, redis_url, user_service_urls=upstream.url, trusted_proxies="127.0.0.0/8") as gateway:  # type: ignore[arg-type]
        fields = {**bearer(), "X-Forwarded-For": "6.6.6.6, 203.0.113.5", "X_Forwarded_For": "7.7.7.7"}
        assert gateway.request("GET", "/api/profile", fields).status == 200
        assert asked(upstream).get("x-forwarded-for") == "203.0.113.5"
