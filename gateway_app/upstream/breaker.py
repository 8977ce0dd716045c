"""A circuit breaker: after failures in a row, leave an instance alone for a while, then try it with one request.

Pure: the caller passes the time (seconds, monotonic).
"""

FAILURES_TO_OPEN = 5
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0


class Breaker:
    """Closed, open until a moment, or half open: then `admit` lets exactly one request through."""

    def __init__(self) -> None:
        self._failures = 0
        self._pause = FIRST_PAUSE_SECONDS
        self._open_until: float | None = None
        self._trial_until = 0.0

    @property
    def state(self) -> str:
        """`closed` or `open` (half open is open too)."""
        return "closed" if self._open_until is None else "open"

    def would_admit(self, now: float) -> bool:
        """Whether `admit` would let a request through now; takes nothing."""
        return self._open_until is None or (now >= self._open_until and now >= self._trial_until)

    def admit(self, now: float) -> bool:
        """Whether a request may go; while half open the first one takes the trial."""
        if self._open_until is None:
            return True
        if not self.would_admit(now):
            return False
        self._trial_until = now + self._pause
        return True

    def succeeded(self) -> None:
        """An answer came: all is well again."""
        if self._failures or self._open_until is not None:
            self._failures = 0
            self._pause = FIRST_PAUSE_SECONDS
            self._open_until = None

    def failed(self, now: float) -> bool:
        """A request failed; True when this opened the breaker, or opened it again."""
        self._failures += 1
        if self._failures < FAILURES_TO_OPEN:
            return False
        if self._open_until is not None:
            if now < self._open_until:
                return False  # a request from before it opened
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        self._open_until = now + self._pause
        self._trial_until = 0.0
        return True

    def retry_now(self) -> None:
        """The instance says that it is well: the next request may try it."""
        if self._open_until is not None:
            self._open_until = 0.0
