"""Tokens: ours and the legacy server's are accepted in one spelling, all else is refused without a crash."""

import base64
import hashlib
import hmac
import json
import string
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service_kit import tokens
from service_kit.ids import uuid7
from service_kit.tokens import InvalidTokenError, TokenKeys

SECRET = "sample-secret-of-these-tests-0123456789abcdef"
OLD_SECRET = "sample-older-secret-0123456789abcdef-0123456"
NOW = 1_800_000_000
LEGACY = {"userId": 7, "email": "ann@example.com", "iat": NOW - 10, "exp": NOW + 86390}
KEYS = TokenKeys([SECRET])


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def legacy(secret: str = SECRET, header: object | None = None, **changes: Any) -> str:
    """A token as the legacy server's library makes it, signed by hand; a claim given as `...` is left out."""
    claims = {name: value for name, value in {**LEGACY, **changes}.items() if value is not ...}
    signed = f"{part(header or {'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
    signature = hmac.digest(secret.encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_a_token_of_ours_says_after_verification_what_was_signed() -> None:
    issued = KEYS.sign(7, "ann@example.com", 86400, now_ms=NOW * 1000 + 123)
    claims = KEYS.verify(issued.text, now=NOW)
    assert claims == issued.claims
    assert (claims.user_id, claims.email, claims.issued_ms) == (7, "ann@example.com", NOW * 1000 + 123)
    assert (claims.issued_at, claims.expires_at) == (NOW, NOW + 86400)
    assert tokens.issued_ms_of(claims.token_id) == claims.issued_ms


def test_a_token_of_ours_carries_the_claims_that_the_clients_know_and_ours() -> None:
    text = KEYS.sign(7, "ann@example.com", 60).text
    payload = jwt.decode(text, SECRET, ["HS256"])
    assert set(payload) == {"userId", "email", "iat", "exp", "iss", "jti"}
    assert payload["iss"] == "auth-service"
    assert jwt.get_unverified_header(text)["kid"] == tokens.key_id(SECRET.encode())


def test_every_token_has_an_id_of_its_own() -> None:
    assert len({KEYS.sign(7, "a@example.com", 60, now_ms=NOW).claims.token_id for _ in range(1000)}) == 1000


def test_a_token_of_the_legacy_server_is_accepted_and_known_by_the_hash_of_its_text() -> None:
    text = legacy()
    claims = KEYS.verify(text, now=NOW)
    assert claims.token_id == hashlib.sha256(text.encode()).hexdigest() == tokens.legacy_token_id(text)
    assert (claims.user_id, claims.email, claims.issued_ms) == (7, "ann@example.com", (NOW - 10) * 1000)
    assert tokens.issued_ms_of(claims.token_id) is None


def test_a_token_has_exactly_one_spelling_that_is_accepted() -> None:
    text = legacy()
    alphabet = string.ascii_letters + string.digits + "-_=+/. !\n"
    spellings = [text[:-1] + last for last in alphabet] + [text + more for more in alphabet]
    accepted = []
    for spelling in spellings:
        try:
            KEYS.verify(spelling, now=NOW)
            accepted.append(spelling)
        except InvalidTokenError:
            pass
    assert accepted == [text]


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "nOnE", "HS384", "HS512", "RS256", "", 5, None, ["HS256"]]
)
def test_no_other_algorithm_is_accepted(algorithm: object) -> None:
    with pytest.raises(InvalidTokenError):
        KEYS.verify(legacy(header={"alg": algorithm, "typ": "JWT"}), now=NOW)


def test_stronger_hashes_with_the_right_secret_are_refused_and_so_is_no_signature() -> None:
    for algorithm in ("HS384", "HS512"):
        with pytest.raises(InvalidTokenError):
            TokenKeys([SECRET * 2]).verify(jwt.encode(LEGACY, SECRET * 2, algorithm), now=NOW)
    with pytest.raises(InvalidTokenError):
        KEYS.verify(f"{part({'alg': 'none'})}.{part(LEGACY)}.", now=NOW)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "HS256", "kid": "../../dev/null"},
        {"alg": "HS256", "kid": "x" * 4000},
        {"alg": "HS256", "kid": None},
        {"alg": "HS256", "kid": 1},
        {"alg": "HS256", "kid": ["a"]},
        {"alg": "HS256", "crit": ["exp"]},
        {"alg": "HS256", "b64": False, "crit": ["b64"]},
        {"alg": "HS256", "b64": True},
        {},
        [],
        "HS256",
    ],
)
def test_odd_headers_are_refused_even_with_a_right_signature(header: object) -> None:
    with pytest.raises(InvalidTokenError):
        KEYS.verify(legacy(header=header or {"typ": "JWT"}), now=NOW)


def test_keys_named_inside_of_a_header_are_ignored() -> None:
    header = {
        "alg": "HS256",
        "jku": "http://127.0.0.1:1/",
        "jwk": {"kty": "oct", "k": "AA"},
        "x5u": "http://127.0.0.1:1/",
    }
    assert KEYS.verify(legacy(header=header), now=NOW).user_id == 7
    with pytest.raises(InvalidTokenError):
        KEYS.verify(legacy(secret="x" * 40, header=header), now=NOW)


@pytest.mark.parametrize("name", ["userId", "iat", "exp"])
@pytest.mark.parametrize(
    "value",
    [..., None, "7", "", 7.5, float("nan"), float("inf"), -float("inf"), True, [], {}, [7], 2**63, 10**400],
)
def test_a_number_that_is_missing_odd_or_huge_is_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidTokenError):
        changes: dict[str, Any] = {name: value}
        KEYS.verify(legacy(**changes), now=NOW)


@pytest.mark.parametrize("email", [..., None, 7, [], {}, True, "\ud800", "a\udc00@example.com"])
def test_an_email_that_no_header_could_carry_is_refused(email: object) -> None:
    with pytest.raises(InvalidTokenError):
        KEYS.verify(legacy(email=email), now=NOW)


def test_times_are_held_to_the_second() -> None:
    assert KEYS.verify(legacy(exp=NOW + 1), now=NOW + 0.999)
    wrong: list[dict[str, Any]] = [
        {"exp": NOW},
        {"exp": -1, "iat": -5},
        {"nbf": NOW + 1},
        {"nbf": "0"},
        {"iat": NOW + 61},
    ]
    for changes in wrong:
        with pytest.raises(InvalidTokenError):
            KEYS.verify(legacy(**changes), now=NOW)
    assert KEYS.verify(legacy(iat=NOW + 59), now=NOW), "another host's clock may be ahead by a little"


def test_no_token_lives_longer_than_a_cutoff_is_kept() -> None:
    limit = tokens.MAX_LIFETIME_SECONDS
    assert KEYS.verify(legacy(iat=NOW, exp=NOW + limit), now=NOW)
    for issued_at, expires_at in ((NOW, NOW + limit + 1), (0, NOW + 1), (NOW, 2**62), (NOW, NOW)):
        with pytest.raises(InvalidTokenError):
            KEYS.verify(legacy(iat=issued_at, exp=expires_at), now=NOW)
    with pytest.raises(ValueError, match="lives for"):
        KEYS.sign(1, "a@example.com", limit + 1)


@pytest.mark.parametrize("issuer", ["someone", "", None, 5, ["auth-service"], "Auth-Service"])
def test_another_issuer_is_refused(issuer: object) -> None:
    with pytest.raises(InvalidTokenError):
        KEYS.verify(legacy(iss=issuer, jti=str(uuid7(NOW * 1000))), now=NOW)


@pytest.mark.parametrize(
    "jti",
    [..., None, 5, "", "x", "a b", "00000000-0000-4000-8000-000000000000", "0" * 32, "{" + "0" * 36 + "}"],
)
def test_a_token_of_ours_without_a_proper_id_is_refused(jti: object) -> None:
    with pytest.raises(InvalidTokenError):
        KEYS.verify(legacy(iss="auth-service", jti=jti), now=NOW)


def test_an_id_in_a_token_without_issuer_does_not_choose_what_it_is_known_by() -> None:
    text = legacy(jti="revoked:token:somebody-else")
    assert KEYS.verify(text, now=NOW).token_id == tokens.legacy_token_id(text)


def test_a_changed_secret_ends_old_tokens_and_a_kept_one_does_not() -> None:
    ours, theirs = TokenKeys([OLD_SECRET]).sign(7, "a@example.com", 60), legacy(OLD_SECRET)
    rotated = TokenKeys([SECRET, OLD_SECRET])
    assert rotated.verify(ours.text).user_id == rotated.verify(theirs, now=NOW).user_id == 7
    assert jwt.get_unverified_header(rotated.sign(1, "", 60).text)["kid"] == tokens.key_id(SECRET.encode())
    for text, now in ((ours.text, None), (theirs, NOW)):
        with pytest.raises(InvalidTokenError):
            KEYS.verify(text, now=now)


def test_a_kid_does_not_let_a_token_choose_another_secret() -> None:
    rotated = TokenKeys([SECRET, OLD_SECRET])
    header = {"alg": "HS256", "kid": tokens.key_id(SECRET.encode())}
    with pytest.raises(InvalidTokenError):
        rotated.verify(legacy(OLD_SECRET, header=header), now=NOW)


@pytest.mark.parametrize("signing_secrets", [[], [""], [SECRET, ""]])
def test_keys_need_secrets(signing_secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="secret"):
        TokenKeys(signing_secrets)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "...", "nope", "a.b.c", "é.b.c", "\x00", "\ud800", "a." * 5000, "x" * 10_000_000, "\n"],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidTokenError):
        KEYS.verify(text)


@pytest.mark.parametrize(
    "payload", [b"[]", b"5", b"null", b'"x"', b"", b"{", b"\xff\xfe", b"[" * 5000, b'{"a":' * 1000]
)
def test_a_payload_that_is_no_object_is_refused_even_with_a_right_signature(payload: bytes) -> None:
    with pytest.raises(InvalidTokenError):
        KEYS.verify(jwt.PyJWS().encode(payload, SECRET, "HS256"), now=NOW)


JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(["userId", "email", "iat", "exp", "iss", "jti", "nbf", "aud"]), JSON_VALUES
    )
)
def test_whatever_the_claims_are_the_answer_is_a_verdict(claims: dict[str, Any]) -> None:
    signed = legacy(**claims)
    try:
        verified = KEYS.verify(signed, now=NOW)
    except InvalidTokenError:
        return
    assert isinstance(verified.user_id, int)
    assert verified.issued_at < verified.expires_at
    assert verified.expires_at > NOW
    verified.email.encode()
