"""What a service knows of its own phase row while it works on the legacy file.

A file that was put back from an older copy still calls itself the truth. The phase row knows better, so a service
looks at it before it uses the file: at most once in `MAX_AGE_SECONDS`, and never longer than `WAIT_SECONDS`, since the
legacy file must go on serving while PostgreSQL is away.
"""

import threading
import time

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from service_kit.truth.phase import PhaseRow, read_phase

MAX_AGE_SECONDS = 1.0
WAIT_SECONDS = 0.25


class PhaseWatch:
    """The newest state of one database's phase row that this process has seen."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = threading.Condition()
        self._row: PhaseRow | None = None
        self._looking = False
        self._began = 0.0
        self._ended = -MAX_AGE_SECONDS

    def newest(self) -> PhaseRow | None:
        """The row, looked at within the last second; older, or None, when the database did not answer.

        The look is a thread's work: a server that has stopped answering must hold up nobody but that thread.
        """
        with self._turn:
            now = time.monotonic()
            if now - self._ended < MAX_AGE_SECONDS:
                return self._row
            if not self._looking:
                self._looking, self._began = True, now
                threading.Thread(target=self._look, name="phase-row", daemon=True).start()
            self._turn.wait_for(lambda: not self._looking, max(0.0, self._began + WAIT_SECONDS - now))
            return self._row

    def saw(self, row: PhaseRow) -> None:
        """A request has read `row`. Rows only move forward: an older one tells nothing new."""
        with self._turn:
            if self._row is None or (self._row.epoch, self._row.fenced) <= (row.epoch, row.fenced):
                self._row = row

    def _look(self) -> None:
        try:
            with self._engine.connect() as connection:
                self.saw(read_phase(connection))
        except SQLAlchemyError:
            pass  # away: what was known before still holds
        finally:
            with self._turn:
                self._looking, self._ended = False, time.monotonic()
                self._turn.notify_all()
