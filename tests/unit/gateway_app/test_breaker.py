"""The circuit breaker of an instance."""

from gateway_app.upstream.breaker import FAILURES_TO_OPEN, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Breaker


def opened(at: float = 100.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed(at)
    return breaker


def test_it_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker()
    for _ in range(3 * FAILURES_TO_OPEN):
        assert not breaker.failed(1.0)
        breaker.succeeded()
    assert breaker.admit(1.0) and breaker.state == "closed"
    assert opened().state == "open" and not opened().admit(100.0)


def test_after_the_pause_one_request_tries() -> None:
    breaker = opened(100.0)
    now = 100.0 + FIRST_PAUSE_SECONDS
    assert breaker.would_admit(now) and breaker.admit(now)
    assert not breaker.would_admit(now) and not breaker.admit(now)
    breaker.succeeded()
    assert breaker.state == "closed" and breaker.admit(now)


def test_a_failed_trial_pauses_twice_as_long_up_to_a_bound() -> None:
    breaker, now, pause = opened(100.0), 100.0, FIRST_PAUSE_SECONDS
    for _ in range(10):
        now += pause
        assert not breaker.admit(now - 0.01)
        assert breaker.admit(now)
        assert breaker.failed(now)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
    assert pause == LONGEST_PAUSE_SECONDS


def test_requests_from_before_it_opened_do_not_make_the_pause_longer() -> None:
    breaker = opened(100.0)
    for _ in range(20):
        assert not breaker.failed(100.5)
    assert breaker.admit(100.0 + FIRST_PAUSE_SECONDS)


def test_a_trial_that_never_ends_does_not_keep_it_open_for_ever() -> None:
    breaker = opened(100.0)
    now = 100.0 + FIRST_PAUSE_SECONDS
    assert breaker.admit(now)
    assert breaker.admit(now + FIRST_PAUSE_SECONDS)


def test_an_instance_that_says_it_is_well_is_tried_at_once() -> None:
    breaker = opened(100.0)
    breaker.retry_now()
    assert breaker.admit(100.1) and not breaker.admit(100.1)
