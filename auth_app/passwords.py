"""bcrypt as the legacy server's library did it, in a pool of bounded threads and a bounded queue.

That library (bcryptjs) hashes the UTF-8 bytes of a password, NUL included and half a surrogate pair as three
bytes, ends them with a NUL and looks at the first 72 bytes. A stored text that is no bcrypt hash matches no
password.
"""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import TypeVar

import bcrypt

from service_kit.errors import Unavailable

T = TypeVar("T")

MAX_BYTES = 72
MAX_COST = 14
"""Highest cost of an imported hash that is computed: about a second. Each step doubles it; 31 takes days."""
_HASH = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
"""The salt's last character carries two bits: with others set it is nobody's output and matches nothing."""


class PasswordPoolFull(Unavailable):
    """More hashing is waiting than the pool may hold."""

    code = "password_pool_full"


def encode(password: str) -> bytes:
    """The bytes of a password that count."""
    return password.encode("utf-8", "surrogatepass")[:MAX_BYTES]


def is_hash(stored: object) -> bool:
    """Whether `stored` is a bcrypt hash that the legacy server could have made."""
    return isinstance(stored, str) and _HASH.fullmatch(stored) is not None


def salt_of(stored: str) -> str | None:
    """The salt part (prefix, cost, 22 characters) of a bcrypt hash; None when it is none."""
    return stored[:29] if is_hash(stored) else None


class PasswordHasher:
    """Hashes and checks passwords on `workers` threads; at most `queue` more calls wait, others are refused.

    `cost` is the bcrypt cost of new hashes, and of the work done for a user who does not exist. Both methods
    raise PasswordPoolFull.
    """

    def __init__(self, cost: int, workers: int, queue: int) -> None:
        self._cost = cost
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="bcrypt")
        self._places = BoundedSemaphore(workers + queue)
        self._nobody = bcrypt.hashpw(b"nobody", bcrypt.gensalt(cost)).decode()

    def hash(self, password: str) -> str:
        """A new hash of the password."""
        return self._run(lambda: bcrypt.hashpw(encode(password), bcrypt.gensalt(self._cost)).decode())

    def matches(self, password: str, stored: object) -> bool:
        """Whether `stored` is the hash of the password.

        Every other value of `stored`, None for an unknown user included, takes as long and matches nothing.
        """
        usable = is_hash(stored) and int(str(stored)[4:6]) <= MAX_COST
        against = str(stored) if usable else self._nobody
        return self._run(lambda: bcrypt.checkpw(encode(password), against.encode())) and usable

    def close(self) -> None:
        """Finish what has begun and end the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _run(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise PasswordPoolFull
        try:
            return self._pool.submit(work).result()
        finally:
            self._places.release()
