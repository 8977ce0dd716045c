"""Lets Flask-Limiter decide over counters that the gatekeeper has already moved: same Redis, same keys, one trip."""

import time
from collections.abc import Mapping

from flask import request
from limits.storage import Storage

COUNTS = "gateway.counts"
"""Where a request's environ has its counters: key -> (value after this request, milliseconds left)."""


class GatekeeperStorage(Storage):
    """A storage of the `limits` library for the fixed window, `gatekeeper://` to Flask-Limiter.

    The edge moves a request's counters before it asks Flask, with all else that it asks Redis. To move a counter
    here means to read how far that has got.
    """

    STORAGE_SCHEME = ["gatekeeper"]  # noqa: RUF012 (the library's own declaration)

    @property
    def base_exceptions(self) -> type[Exception]:
        """What the library may wrap: a limit that the edge knows nothing of is a mistake of ours."""
        return KeyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:  # noqa: ARG002 (the edge knows both)
        """The counter, which this request has moved already."""
        return self.get(key)

    def get(self, key: str) -> int:
        """The counter."""
        return _counts()[key][0]

    def get_expiry(self, key: str) -> float:
        """When its window ends, in epoch seconds."""
        return time.time() + _counts()[key][1] / 1000

    def check(self) -> bool:
        """There is always somewhere to count."""
        return True

    def reset(self) -> int | None:
        """Not offered: the counters are shared."""
        raise NotImplementedError

    def clear(self, key: str) -> None:
        """Not offered: the counters are shared."""
        raise NotImplementedError


def _counts() -> Mapping[str, tuple[int, int]]:
    counts: Mapping[str, tuple[int, int]] = request.environ[COUNTS]
    return counts
