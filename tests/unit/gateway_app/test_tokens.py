"""Which word is the token, and what verified tokens are remembered for."""

import time

import pytest

from gateway_app import tokens
from gateway_app.tokens import TokenVerifier, presented_token
from service_kit.tokens import InvalidTokenError, TokenKeys

KEYS = TokenKeys(["sample-secret-of-at-least-32-bytes-0123456789"])


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("Basic abc", "abc"),
        ("x abc def", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Bearer  abc", None),
        ("abc", None),
        ("", None),
        (None, None),
    ],
)
def test_the_token_is_the_second_word_as_the_monolith_read_it(header: str | None, token: str | None) -> None:
    assert presented_token(header) == token


def test_a_remembered_token_still_expires() -> None:
    verifier = TokenVerifier(KEYS)
    text = KEYS.sign(7, "ann@example.com", 60, now_ms=int((time.time() - 59) * 1000)).text
    assert verifier.verify(text).user_id == 7
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            verifier.verify(text)
        except InvalidTokenError:
            return
        time.sleep(0.02)
    pytest.fail("the token outlived its expiry")


def test_only_so_many_tokens_are_remembered_and_no_invalid_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MAX_VERIFIED_TOKENS", 3)
    verifier = TokenVerifier(KEYS)
    texts = [KEYS.sign(user, "a@example.com", 60).text for user in range(6)]
    for text in texts:
        verifier.verify(text)
        with pytest.raises(InvalidTokenError):
            verifier.verify(text[:-1])
    assert list(verifier._verified) == texts[-3:]
    assert verifier.verify(texts[0]).user_id == 0


def test_a_service_learns_who_asks_in_plain_ascii() -> None:
    issued = KEYS.sign(-(2**63), "zoë+x\r\nX-User-Id: 1@example.com", 60)
    lines = TokenVerifier(KEYS).verify(issued.text).headers.split("\r\n")
    assert lines == [
        f"X-User-Id: {-(2**63)}",
        "X-User-Email: zo%C3%AB+x%0D%0AX-User-Id%3A%201@example.com",
        f"X-Token-Id: {issued.claims.token_id}",
        f"X-Token-Issued: {issued.claims.issued_at}",
        f"X-Token-Expires: {issued.claims.expires_at}",
        "",
    ]
