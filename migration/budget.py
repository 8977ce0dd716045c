"""How long clients may be kept waiting while the truth moves."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class OverBudget(Exception):
    """The move took longer than clients may wait; it was taken back."""


class Budget:
    """Counts from its creation. `limit_ms` is CUTOVER_BUDGET_MS."""

    def __init__(self, limit_ms: int) -> None:
        self._limit_ms = limit_ms
        self._began = time.monotonic()

    @property
    def spent_ms(self) -> float:
        """Milliseconds since the first client had to wait."""
        return (time.monotonic() - self._began) * 1000

    def remaining_ms(self) -> int:
        """What is left, at least one millisecond: to PostgreSQL and SQLite zero means no limit, or no wait at all.

        Raises:
            OverBudget: nothing is left.
        """
        left = self._limit_ms - self.spent_ms
        if left <= 0:
            raise OverBudget(f"{self.spent_ms:.0f} ms of {self._limit_ms} ms were spent")
        return max(1, int(left))

    def within(self, work: Callable[[int], T]) -> T:
        """`work(milliseconds left)` in a thread of its own, given up when the budget is spent.

        A database may stop answering without closing the connection. Nothing may hang on it while clients wait;
        what the forgotten thread still does later must be harmless, as every late step of the protocol is.

        Raises:
            OverBudget: it did not end in time.
        """
        values: list[T] = []
        errors: list[BaseException] = []
        left = self.remaining_ms()

        def run() -> None:
            try:
                values.append(work(left))
            except BaseException as error:  # noqa: BLE001, raised again below in the caller's thread
                errors.append(error)

        thread = threading.Thread(target=run, name="budget", daemon=True)
        thread.start()
        thread.join(left / 1000)
        if errors:
            raise errors[0]
        if not values:
            raise OverBudget(f"a database did not answer within {self._limit_ms} ms")
        self.remaining_ms()
        return values[0]
