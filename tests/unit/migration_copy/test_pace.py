"""A command looks seldom while the workers need the processor, and often when the pass is about to end."""

from dataclasses import replace

from migration.follow_pass import LAST_POLL_SECONDS, POLL_SECONDS, _Pace
from migration.progress import State

HALFWAY = State("copy", 1_000_000, 500_000, 0, 0, 10, 2, None, 0, None, None, 0, 0.0)


def test_it_looks_often_only_near_the_end() -> None:
    far = replace(HALFWAY, rate=10_000.0)
    near = replace(HALFWAY, done=999_990, rate=10_000.0)
    assert _Pace().seconds(far, True) == POLL_SECONDS
    assert _Pace().seconds(near, True) == LAST_POLL_SECONDS


def test_the_end_comes_nearer_while_no_chunk_is_done() -> None:
    pace, soon = _Pace(), replace(HALFWAY, rate=2_000_000.0)  # a quarter of a second
    first = pace.seconds(soon, True)
    assert LAST_POLL_SECONDS < pace.seconds(soon, True) < first < POLL_SECONDS


def test_with_chunks_to_cut_or_without_a_speed_it_keeps_its_usual_pace() -> None:
    near = replace(HALFWAY, done=999_990, rate=10_000.0)
    assert _Pace().seconds(near, False) == POLL_SECONDS
    assert _Pace().seconds(HALFWAY, True) == POLL_SECONDS
