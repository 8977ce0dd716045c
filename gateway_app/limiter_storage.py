"""Lets Flask-Limiter count where the gatekeeper counts: same Redis, same keys, same fallback."""

import threading
import time
from collections.abc import Callable

from limits.storage import Storage

KEPT_COUNTS = 16

Move = Callable[[str, int], tuple[int, int]]
"""Moves the counter of a key with a window of so many seconds: (its value, milliseconds left)."""


class GatekeeperStorage(Storage):
    """A storage of the `limits` library for the fixed window, `gatekeeper://` to Flask-Limiter.

    Flask-Limiter moves a counter and then asks for its value and its end: the two questions are answered from what
    the move in the same thread told, so that a request costs one round trip.
    """

    STORAGE_SCHEME = ["gatekeeper"]  # noqa: RUF012 (the library's own declaration)

    def __init__(self, uri: str | None = None, *, move: Move, wrap_exceptions: bool = False) -> None:
        super().__init__(uri, wrap_exceptions)
        self._move = move
        self._thread = threading.local()

    @property
    def base_exceptions(self) -> type[Exception]:
        """What the library may wrap; the gatekeeper raises nothing."""
        return OSError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:  # noqa: ARG002 (always 1 here)
        """Moves a counter by one."""
        count, left_ms = self._move(key, expiry)
        counts = self._counts()
        while len(counts) >= KEPT_COUNTS:
            counts.pop(next(iter(counts)))
        counts[key] = (count, time.time() + left_ms / 1000)
        return count

    def get(self, key: str) -> int:
        """The counter's value after this thread's last move."""
        return self._counts().get(key, (0, 0.0))[0]

    def get_expiry(self, key: str) -> float:
        """When its window ends, in epoch seconds."""
        return self._counts().get(key, (0, time.time()))[1]

    def check(self) -> bool:
        """There is always somewhere to count."""
        return True

    def reset(self) -> int | None:
        """Not offered: the counters are shared."""
        raise NotImplementedError

    def clear(self, key: str) -> None:
        """Not offered: the counters are shared."""
        raise NotImplementedError

    def _counts(self) -> dict[str, tuple[int, float]]:
        counts: dict[str, tuple[int, float]] | None = getattr(self._thread, "counts", None)
        if counts is None:
            counts = self._thread.counts = {}
        return counts
