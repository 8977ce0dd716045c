"""Keeps one working process alive: a handler that ends its process must not end the events of a service."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from service_kit.server import die_with_parent

_logger = logging.getLogger(__name__)

_SIGNALS = {signal.SIGTERM, signal.SIGINT}
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_HEALTHY_SECONDS = 30.0


class Supervisor:
    """Runs `work` in a child process; starts it again when it ends unasked, at once or, when it keeps ending,
    after up to 5 s.

    SIGTERM and SIGINT are handed on to the child, whose end then ends `run`. A child does not outlive its
    parent.
    """

    def __init__(self, work: Callable[[], int]) -> None:
        self._work = work
        self._child = 0
        self._asked: list[int] = []

    def run(self) -> int:
        """The exit code of the child that was asked to stop. Call it in the main thread, before other
        threads."""
        for number in _SIGNALS:
            signal.signal(number, self._hand_on)
        pause = _FIRST_PAUSE
        while True:
            started = time.monotonic()
            code = self._one_child()
            if self._asked:
                return code
            _logger.error("the working process ended with %d, it is started again", code)
            if time.monotonic() - started > _HEALTHY_SECONDS:
                pause = _FIRST_PAUSE
            self._wait(pause)
            if self._asked:
                return 0
            pause = min(_LONGEST_PAUSE, 2 * pause)

    def _one_child(self) -> int:
        """Start a child and wait for its end; the signals wait meanwhile until its number is known."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._child = os.fork()
        if self._child == 0:
            self._be_child()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        if self._asked:
            self._hand_on(signal.SIGTERM, None)
        _, status = os.waitpid(self._child, 0)
        self._child = 0
        return os.waitstatus_to_exitcode(status)

    def _be_child(self) -> None:
        code = 1
        try:
            die_with_parent()
            code = self._work()
        except Exception:
            _logger.exception("the working process failed")
        finally:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _hand_on(self, number: int, _frame: FrameType | None) -> None:
        self._asked.append(number)  # no threading.Event: its lock may be held by what the signal interrupted
        if self._child:
            os.kill(self._child, signal.SIGTERM)

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._asked and time.monotonic() < deadline:
            time.sleep(0.05)
