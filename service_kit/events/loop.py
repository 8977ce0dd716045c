"""A thread that works until it is told to stop, and starts again after errors of what it depends on."""

import logging
import random
import threading

from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from service_kit.errors import Unavailable

_logger = logging.getLogger(__name__)

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0


class Loop(threading.Thread):
    """`session` is the work: connect, loop until `stopping`, let errors out; they are logged and it is called
    again.

    The pause before that doubles from 0.1 s to 2 s, jittered, until the session says that it is `connected`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._stop_requested = threading.Event()
        self._bell = threading.Event()
        self._pause_after_error = _FIRST_PAUSE

    @property
    def stopping(self) -> bool:
        """Whether to finish what is begun and return."""
        return self._stop_requested.is_set()

    def stop(self) -> None:
        """Ask it to end; `join` waits until it has."""
        self._stop_requested.set()
        self._bell.set()

    def wake(self) -> None:
        """End the present `wait`, or the next one."""
        self._bell.set()

    def wait(self, seconds: float) -> None:
        """Until `wake`, the stop, or `seconds` later."""
        self._bell.wait(max(0.0, seconds))
        self._bell.clear()

    def connected(self) -> None:
        """The session works: the next error starts with a short pause again."""
        self._pause_after_error = _FIRST_PAUSE

    def session(self) -> None:
        """The work of this loop."""
        raise NotImplementedError

    def run(self) -> None:
        """Sessions until the stop."""
        while not self.stopping:
            try:
                self.session()
            except (DBAPIError, RedisError, Unavailable, OSError) as error:
                _logger.warning("%s interrupted: %s", self.name, first_line(error))
            except Exception:
                _logger.exception("%s failed", self.name)
            if not self.stopping:
                self._stop_requested.wait(random.uniform(0.5, 1.0) * self._pause_after_error)  # noqa: S311
                self._pause_after_error = min(_LONGEST_PAUSE, 2 * self._pause_after_error)


def first_line(error: BaseException) -> str:
    """Type and first line of the message: no statement and no parameter of it."""
    cause = getattr(error, "orig", None) or error
    text = str(cause).strip().partition("\n")[0]
    return f"{type(cause).__name__}: {text}" if text else type(cause).__name__
