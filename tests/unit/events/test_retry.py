"""When a failed event is tried again."""

from service_kit.events.retry import RetryPolicy


def _longest(_low: float, high: float) -> float:
    return high


def test_the_wait_doubles_and_never_exceeds_the_cap() -> None:
    policy = RetryPolicy(base=0.5, cap=60.0)
    waits = [policy.delay(attempts, _longest) for attempts in range(1, 10)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert policy.delay(10_000, _longest) == 60


def test_the_wait_is_drawn_from_the_whole_range_down_to_zero() -> None:
    ranges: list[tuple[float, float]] = []
    RetryPolicy(base=1.0).delay(3, lambda low, high: ranges.append((low, high)) or 0.0)
    assert ranges == [(0.0, 4.0)]
    waits = [RetryPolicy(base=1.0).delay(3) for _ in range(500)]
    assert min(waits) < 1.0
    assert max(waits) > 3.0


def test_the_last_attempt_is_the_one_that_the_setting_names() -> None:
    policy = RetryPolicy(max_attempts=3)
    assert [policy.exhausted(attempts) for attempts in (0, 2, 3, 4)] == [False, False, True, True]
