"""Which replays would not give the live projection."""

import pytest

from service_kit.events.decisions import Replayable, refusal

REBUILT = Replayable("user", resettable=True, repeatable=False, position=9, replay_from=None)
REPEATED = Replayable("user", resettable=False, repeatable=True, position=9, replay_from=None)
NEITHER = Replayable("user", resettable=False, repeatable=False, position=9, replay_from=None)


@pytest.mark.parametrize(
    ("consumer", "position", "first"),
    [(REBUILT, 1, 1), (REPEATED, 1, 1), (REPEATED, 5, 4), (REPEATED, 10, 1)],
)
def test_a_replay_that_gives_the_live_projection_is_allowed(
    consumer: Replayable, position: int, first: int
) -> None:
    assert refusal(consumer, position, first, head=9) is None


@pytest.mark.parametrize(
    ("consumer", "position", "first", "word"),
    [
        (NEITHER, 1, 1, "neither"),
        (REBUILT, 5, 1, "from 1"),
        (REBUILT, 1, 3, "no longer"),
        (REPEATED, 2, 3, "no longer"),
        (REPEATED, 11, 1, "ends at 9"),
    ],
)
def test_any_other_is_refused_with_its_reason(
    consumer: Replayable, position: int, first: int, word: str
) -> None:
    assert word in (refusal(consumer, position, first, head=9) or "")
