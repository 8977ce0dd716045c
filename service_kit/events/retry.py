"""When a failed event is tried again. Pure."""

import random
from collections.abc import Callable
from dataclasses import dataclass

_LARGEST_EXPONENT = 30


@dataclass(frozen=True)
class RetryPolicy:
    """At most `max_attempts` runs; before run n + 1 a wait of at most `base * 2 ** (n - 1)` s, never over
    `cap`."""

    max_attempts: int = 8
    base: float = 0.5
    cap: float = 60.0

    def delay(self, attempts: int, spread: Callable[[float, float], float] = random.uniform) -> float:
        """Seconds to wait after `attempts` failures: anything from 0 up to the bound ("full jitter"), so that
        events which failed together are not tried together."""
        return spread(0.0, min(self.cap, self.base * 2 ** min(max(attempts - 1, 0), _LARGEST_EXPONENT)))

    def exhausted(self, attempts: int) -> bool:
        """Whether an event with so many attempts is not tried again."""
        return attempts >= self.max_attempts
