"""The thread that ends abandoned registrations. Every instance of the service has one."""

import logging
import threading

from service_kit.errors import Unavailable
from user_app.use_cases.settling import Settling

log = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0
_OUTAGE_FACTOR = 5
"""While a dependency is away, a sweep comes so many times less often."""


class Sweeper:
    """Sweeps once a period until it is stopped."""

    def __init__(self, settling: Settling, period: float = PERIOD_SECONDS) -> None:
        self.settling = settling
        self._period = period
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Begin sweeping."""
        self._thread.start()

    def stop(self) -> None:
        """End it; a sweep under way is finished first."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        pause = self._period
        while not self._stop.wait(pause):
            pause = self._period
            try:
                self.settling.sweep()
            except Unavailable as error:
                pause *= _OUTAGE_FACTOR
                log.warning("pending registrations have to wait: %s", error.message)
            except Exception:
                log.exception("a sweep failed; the next one tries again")
