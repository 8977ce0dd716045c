"""A user's cut-off only ever moves on, and what it has revoked stays revoked."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_app.domain import PresentedToken, Session, StoredToken, advance, epoch_ms, moment
from service_kit.ids import uuid7
from service_kit.revocation import Cutoff

LEGACY_ID = "ab" * 32


def issued(at_ms: int) -> str:
    """A token id of ours that was issued then."""
    return str(uuid7(at_ms))


def test_the_first_cutoff_is_taken_as_it_is() -> None:
    assert advance(None, Cutoff(5, ("x",))) == Cutoff(5, ("x",))


def test_a_cutoff_never_moves_back_or_changes_in_place() -> None:
    present = Cutoff(100, (issued(50),))
    for earlier in (99, 100):
        assert advance(present, Cutoff(earlier, (issued(60),))) == present


def test_a_token_that_a_cutoff_revoked_is_kept_by_no_later_one() -> None:
    dead, kept, later = issued(50), issued(60), issued(150)
    present = Cutoff(100, (kept,))
    assert advance(present, Cutoff(200, (dead, kept, later))) == Cutoff(200, (kept, later))


def test_a_legacy_token_whose_issue_nobody_knows_stays_kept() -> None:
    assert advance(Cutoff(100), Cutoff(200, (LEGACY_ID,))).kept == (LEGACY_ID,)


CUTOFFS = st.builds(
    Cutoff,
    st.integers(0, 400),
    st.lists(st.integers(0, 400), max_size=3).map(lambda times: tuple(issued(time) for time in times)),
)


@given(st.lists(CUTOFFS, min_size=1, max_size=6), st.integers(0, 400))
def test_whatever_cutoffs_follow_one_another_a_dead_token_stays_dead(
    wanted: list[Cutoff], at_ms: int
) -> None:
    tokens = [issued(at_ms), *(kept for cutoff in wanted for kept in cutoff.kept)]
    times = {token: int(token[:8] + token[9:13], 16) for token in tokens}
    present: Cutoff | None = None
    dead: set[str] = set()
    for cutoff in wanted:
        following = advance(present, cutoff)
        assert present is None or following.cutoff_ms >= present.cutoff_ms
        present = following
        revoked = {token for token in tokens if present.covers(token, times[token])}
        assert dead <= revoked
        dead = revoked


def test_a_session_is_cut_off_when_none_of_its_tokens_is_left() -> None:
    now = datetime.now(UTC)
    old, new = (StoredToken(issued(at), at, now) for at in (50, 150))
    session = Session("id", now, now, now, "a browser", "198.51.100.7", (old, new))
    assert not session.is_cut_off(None)
    assert not session.is_cut_off(Cutoff(100))
    assert not session.is_cut_off(Cutoff(200, (old.token_id,)))
    assert session.is_cut_off(Cutoff(200))


def test_the_time_of_issue_is_exact_for_our_tokens_and_the_second_for_legacy_ones() -> None:
    assert PresentedToken(1, "", issued(1_800_000_000_123), 1_800_000_000, 0).issued_ms == 1_800_000_000_123
    assert PresentedToken(1, "", LEGACY_ID, 1_800_000_000, 0).issued_ms == 1_800_000_000_000


@pytest.mark.parametrize("milliseconds", [0, 1, 999, 1_795_357_607_970, 1_800_000_000_001, 4_102_444_799_999])
def test_milliseconds_survive_the_database_type(milliseconds: int) -> None:
    assert epoch_ms(moment(milliseconds)) == milliseconds
