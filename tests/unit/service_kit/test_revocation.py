"""The gateway reads from Redis what the auth service meant; what it cannot read revokes."""

import pytest

from service_kit.revocation import REVOKED, Cutoff, is_revoked, token_key, user_key

ID, OTHER = "018f0000-0000-7000-8000-000000000001", "018f0000-0000-7000-8000-000000000002"


def test_nothing_stored_revokes_nothing() -> None:
    assert not is_revoked(None, None, ID, 5)


def test_a_mark_on_the_token_revokes_it_whatever_the_cutoff_keeps() -> None:
    assert is_revoked(REVOKED, None, ID, 5)
    assert is_revoked(b"1", Cutoff(4, (ID,)).text(), ID, 5)


def test_a_cutoff_revokes_up_to_and_including_its_millisecond_except_what_it_keeps() -> None:
    for value in (Cutoff(1000, (ID,)).text(), Cutoff(1000, (ID,)).text().encode()):
        assert is_revoked(None, value, OTHER, 999)
        assert is_revoked(None, value, OTHER, 1000)
        assert not is_revoked(None, value, OTHER, 1001)
        assert not is_revoked(None, value, ID, 1)


@pytest.mark.parametrize("cutoff", [Cutoff(0), Cutoff(5, (ID,)), Cutoff(1_800_000_000_000, (ID, OTHER))])
def test_a_cutoff_reads_back_as_it_was_written(cutoff: Cutoff) -> None:
    assert Cutoff.parse(cutoff.text()) == Cutoff.parse(cutoff.text().encode()) == cutoff


@pytest.mark.parametrize("value", ["", "x", b"\xff", "now 1", " 5"])
def test_a_cutoff_that_cannot_be_read_revokes(value: str | bytes) -> None:
    assert is_revoked(None, value, ID, 2**62)


def test_keys_of_tokens_and_users_do_not_meet() -> None:
    assert token_key("5") != user_key(5)
    assert user_key(-5) == "revoked:user:-5"
