"""Who gets past the gateway with which token."""

import base64
import json
import time
import warnings
from typing import Any

import jwt
import pytest
from redis import Redis

from service_kit.revocation import READY_KEY, Cutoff, token_key, user_key
from service_kit.tokens import legacy_token_id
from tests.support.environment import JWT_SECRET
from tests.support.gateway import KEYS, Answer, Gateway, bearer, legacy_token, running, token
from tests.support.upstream import Upstream

NOW = int(time.time())
CLAIMS = {"userId": 7, "email": "ann@example.com", "iat": NOW, "exp": NOW + 600}


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(algorithm: str) -> str:
    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(CLAIMS)}."


def signed(
    algorithm: str = "HS256", secret: str = JWT_SECRET, header: dict[str, Any] | None = None, **claims: Any
) -> str:
    payload = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a key that is short for an algorithm nobody uses
        return jwt.encode(payload, secret, algorithm, headers=header)


def is_refused(answer: Answer) -> bool:
    return (answer.status, answer.json) == (403, {"success": False, "message": "Invalid or expired token"})


@pytest.mark.parametrize(
    "fields", [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer  x"}, {"Authorization": ""}]
)
def test_without_a_token_one_is_asked_for(
    gateway: Gateway, upstream: Upstream, fields: dict[str, str]
) -> None:
    answer = gateway.request("GET", "/api/profile", fields)
    assert (answer.status, answer.json) == (401, {"success": False, "message": "Access token required"})
    assert answer["www-authenticate"] == "Bearer" and upstream.received == []


@pytest.mark.parametrize(
    "text",
    [
        "nope",
        "a.b.c",
        unsigned("none"),
        unsigned("None"),
        unsigned("NONE"),
        unsigned("HS256"),
        signed("HS384"),
        signed("HS512"),
        signed(secret="another-secret-of-at-least-32-bytes-0123"),
        signed(secret=" " * 32),
        signed(exp=NOW - 1),
        signed(exp=None),
        signed(exp=str(NOW + 600)),
        signed(exp=2**70),
        signed(nbf=NOW + 600),
        signed(userId=None),
        signed(userId="7"),
        signed(userId=True),
        signed(userId=7.0),
        signed(userId=2**63),
        signed(userId=[7]),
        signed(iss="evil"),
        signed(iss="auth-service"),
        signed(iss="auth-service", jti="../../x"),
        signed(header={"kid": "../../dev/null"}),
        signed(header={"kid": "' OR 1=1"}),
        signed(header={"crit": ["x"], "x": 1}),
        signed()[:-2],
        signed() + "=",
        signed() + ".x",
        token() + "x",
    ],
)
def test_a_token_with_anything_wrong_is_refused(gateway: Gateway, upstream: Upstream, text: str) -> None:
    assert is_refused(gateway.request("GET", "/api/profile", bearer(text)))
    assert upstream.received == []


def test_a_token_in_the_query_is_none(gateway: Gateway) -> None:
    assert gateway.request("GET", f"/api/profile?token={token()}&jwt={token()}").status == 401


def test_tokens_of_both_issuers_pass(gateway: Gateway) -> None:
    for text in (token(), legacy_token(), signed()):
        assert gateway.request("GET", "/api/profile", bearer(text)).status == 200


def test_a_revoked_token_is_refused_at_the_next_request(gateway: Gateway, redis_url: str) -> None:
    issued, legacy = KEYS.sign(7, "ann@example.com", 600), legacy_token()
    with Redis.from_url(redis_url) as redis, gateway.client() as client:
        for text, token_id in ((issued.text, issued.claims.token_id), (legacy, legacy_token_id(legacy))):
            assert client.request("GET", "/api/profile", bearer(text)).status == 200
            redis.set(token_key(token_id), "1")
            assert is_refused(client.request("GET", "/api/profile", bearer(text)))


def test_a_cutoff_ends_every_token_issued_up_to_it_but_the_kept_ones(
    gateway: Gateway, redis_url: str
) -> None:
    cutoff = int(time.time() * 1000)
    before, kept, at = (KEYS.sign(7, "a@example.com", 600, now_ms=cutoff - n) for n in (5000, 4000, 0))
    after = KEYS.sign(7, "a@example.com", 600, now_ms=cutoff + 1)
    other = KEYS.sign(8, "b@example.com", 600, now_ms=cutoff - 5000)
    old = legacy_token(7, iat=cutoff // 1000 - 5)
    with Redis.from_url(redis_url) as redis:
        redis.set(user_key(7), Cutoff(cutoff, (kept.claims.token_id, "x")).text())
    expected = [(before, 403), (at, 403), (kept, 200), (after, 200), (other, 200)]
    for issued, status in expected:
        assert gateway.request("GET", "/api/profile", bearer(issued.text)).status == status
    assert is_refused(gateway.request("GET", "/api/profile", bearer(old)))


def test_an_unreadable_cutoff_lets_nobody_in(gateway: Gateway, redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        redis.set(user_key(7), "nonsense")
    assert is_refused(gateway.request("GET", "/api/profile", bearer()))


def test_while_revocations_are_not_all_known_protected_routes_are_closed(
    gateway: Gateway, upstream: Upstream, redis_url: str
) -> None:
    with Redis.from_url(redis_url) as redis:
        redis.delete(READY_KEY)
        answer = gateway.request("GET", "/api/profile", bearer())
        assert (answer.status, answer.json["code"], answer["retry-after"]) == (
            503,
            "revocation_unavailable",
            "1",
        )
        assert upstream.received == []
        assert gateway.request("POST", "/api/login", {}, {}).status == 200
        assert gateway.request("GET", "/api/health").status == 200
        assert gateway.request("GET", "/api/profile").status == 401
        assert is_refused(gateway.request("GET", "/api/profile", bearer("nope")))
        redis.set(READY_KEY, "1")
    assert gateway.request("GET", "/api/profile", bearer()).status == 200


def test_the_operator_may_choose_to_stay_open(folder: Any, redis_url: str, upstream: Upstream) -> None:
    settings = {"user_service_urls": upstream.url, "revocation_unavailable": "allow"}
    with running(folder, redis_url, **settings) as gateway, Redis.from_url(redis_url) as redis:
        redis.delete(READY_KEY)
        assert gateway.request("GET", "/api/profile", bearer()).status == 200
        issued = KEYS.sign(7, "a@example.com", 600)
        redis.set(token_key(issued.claims.token_id), "1")
        assert is_refused(gateway.request("GET", "/api/profile", bearer(issued.text)))
