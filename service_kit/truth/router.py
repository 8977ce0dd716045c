"""Run a request's read or write on the store that is the truth at that moment.

This is the services' side of the migration protocol (docs/protocol.md, "Service write" and "Service read"). The phase
is never cached: every transaction reads it again where it works. Only the side to try first is remembered.
"""

import logging
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine

from service_kit.errors import Unavailable
from service_kit.steps import step
from service_kit.truth.drain import Drain
from service_kit.truth.legacy_file import LegacyFile, read_state, transaction
from service_kit.truth.outages import Elsewhere, outages_as_unavailable
from service_kit.truth.phase import PhaseRow, follow, lock_phase, read_phase
from service_kit.truth.undo import undo_rollback
from service_kit.truth.watch import PhaseWatch

T = TypeVar("T")
OnFile = Callable[[sqlite3.Connection], T]
OnDatabase = Callable[[Connection], T]
log = logging.getLogger(__name__)

ADOPTED_EPOCH = 1  # of a database that has never had a legacy file
_FENCE_POLL_SECONDS = 0.005
_COMPLAINT_SECONDS = 10.0


class _Unfit(Exception):
    """What lies in the file's place cannot be read, or is not the file: nothing that it says counts."""


class Truth:
    """Reads and writes of one service on the legacy file or on its own database, whichever is the truth.

    `file` is None when there is no migration. `drain` is told of each write to the file. `undo_after` (seconds): how
    long a fenced database is waited for before the rollback that fenced it is taken for abandoned.
    """

    def __init__(
        self,
        file: LegacyFile | None,
        engine: Engine,
        drain: Drain | None = None,
        *,
        undo_after: float = 5.0,
    ) -> None:
        self._file = file
        self._engine = engine
        self._drain = drain
        self._undo_after = undo_after
        self._file_first = file is not None
        self._watch = PhaseWatch(engine)
        self._complained = -_COMPLAINT_SECONDS

    def write(self, on_file: OnFile[T], on_database: OnDatabase[T]) -> T:
        """Commit exactly one of the two callbacks and return its value.

        `on_file` runs under the file's write lock at an even epoch, `on_database` in a transaction that holds the
        phase lock at (odd, open). A callback may run more than once before one run commits. What it raises rolls
        back and propagates; `Unavailable` when the truth cannot be reached.
        """
        return self._run(
            lambda: self._write_file(on_file), lambda epoch: self._write_database(on_database, epoch)
        )

    def read(self, on_file: OnFile[T], on_database: OnDatabase[T]) -> T:
        """Answer from the truth: the callback sees one snapshot of the file, or the database behind its phase row."""
        return self._run(
            lambda: self._read_file(on_file), lambda epoch: self._read_database(on_database, epoch)
        )

    def _run(self, try_file: Callable[[], T], try_database: Callable[[int | None], T]) -> T:
        deadline = time.monotonic() + 2 * self._undo_after
        file_epoch: int | None = None
        use_file = self._file_first
        while time.monotonic() < deadline:
            try:
                with outages_as_unavailable():
                    value = try_file() if use_file else try_database(file_epoch)
            except Elsewhere as elsewhere:
                file_epoch = elsewhere.epoch
                use_file = self._file is not None and file_epoch is None
            except _Unfit as unfit:
                self._legacy.close()  # the next request looks what lies there then
                return self._without_the_file(unfit, try_database)
            else:
                self._file_first = use_file
                return value
        raise Unavailable("The store is being switched over; try again")

    def _without_the_file(self, unfit: _Unfit, try_database: Callable[[int | None], T]) -> T:
        """A database at (odd, open) is the truth, whatever lies in the file's place; any other waits for the file."""
        try:
            with outages_as_unavailable():
                value = try_database(None)
        except Elsewhere as elsewhere:
            self._complain(f"{unfit}; nothing is read or written until the file is back")
            raise Unavailable() from elsewhere
        except Unavailable:
            self._complain(f"{unfit}, and the database does not answer")
            raise
        self._complain(f"{unfit}; PostgreSQL is the truth and goes on without it")
        self._file_first = False
        return value

    def _complain(self, text: str) -> None:
        """A line in the log, not one a request."""
        now = time.monotonic()
        if now - self._complained >= _COMPLAINT_SECONDS:
            self._complained = now
            log.error("the legacy file %s is not used: %s", self._legacy.path, text)

    # ---- the file

    def _write_file(self, on_file: OnFile[T]) -> T:
        def work(connection: sqlite3.Connection) -> T:
            value = on_file(connection)
            step("truth.write.before_file_commit")
            if self._drain is not None:
                self._drain.announce(connection)
            return value

        try:
            value = self._on_file("BEGIN IMMEDIATE", work, lambda: step("truth.write.file_fenced"))
        except BaseException:
            if self._drain is not None:
                self._drain.withdraw()
            raise
        step("truth.write.file_committed")
        if self._drain is not None:
            try:
                self._drain()
            except Exception:  # the log keeps what could not be drained
                log.warning("drain after a write failed; the log keeps the change", exc_info=True)
        return value

    def _read_file(self, on_file: OnFile[T]) -> T:
        return self._on_file("BEGIN", on_file, lambda: step("truth.read.file_fenced"))

    def _on_file(self, begin: str, callback: OnFile[T], fenced: Callable[[], None]) -> T:
        row = self._watch.newest()  # before the file, which can only have gone on since
        state = None
        try:
            with transaction(self._legacy.connection(), begin) as connection:
                state = read_state(connection)
                stranger = row.disowns(state) if row else None
                if stranger:
                    raise _Unfit(stranger)
                if not state.file_is_truth:
                    raise Elsewhere(state.epoch)
                return callback(connection)
        except Elsewhere:
            fenced()
            raise
        except sqlite3.Error as error:
            if state is not None:
                raise
            raise _Unfit(f"it cannot be read ({error})") from error

    # ---- the database

    def _write_database(self, on_database: OnDatabase[T], file_epoch: int | None) -> T:
        def work(connection: Connection) -> T:
            value = on_database(connection)
            step("truth.write.before_database_commit")
            return value

        row, value = self._in_database(lock_phase, work, lambda row: self._writable(row, file_epoch))
        if value is not None:
            step("truth.write.database_committed")
            return value[0]
        self._resolve(row, file_epoch)
        raise Elsewhere(file_epoch if row.is_behind(file_epoch or 0) else None)

    def _read_database(self, on_database: OnDatabase[T], file_epoch: int | None) -> T:
        def work(connection: Connection) -> T:
            step("truth.read.phase_read")
            return on_database(connection)

        row, value = self._in_database(read_phase, work, lambda row: self._readable(row, file_epoch))
        if value is not None:
            return value[0]
        if file_epoch is not None and row.is_behind(file_epoch):
            follow(self._engine, file_epoch)
            raise Elsewhere(file_epoch)
        self._without_file(row)
        raise Elsewhere()

    def _in_database(
        self,
        look: Callable[[Connection], PhaseRow],
        on_database: OnDatabase[T],
        usable: Callable[[PhaseRow], bool],
    ) -> tuple[PhaseRow, tuple[T] | None]:
        with self._engine.begin() as connection:
            row = look(connection)
            if not usable(row):
                self._watch.saw(row)
                return row, None
            value = on_database(connection)
        return row, (value,)

    @staticmethod
    def _writable(row: PhaseRow, file_epoch: int | None) -> bool:
        return row.accepts_writes and (file_epoch is None or not row.is_behind(file_epoch))

    @staticmethod
    def _readable(row: PhaseRow, file_epoch: int | None) -> bool:
        if file_epoch is None:
            return row.accepts_writes
        return row.epoch == file_epoch

    def _resolve(self, row: PhaseRow, file_epoch: int | None) -> None:
        """After a row that takes no write: move it to the file's epoch, or wait for (or undo) a rollback's fence."""
        if file_epoch is not None and row.is_behind(file_epoch):
            follow(self._engine, file_epoch)
        elif row.fenced and row.epoch % 2 == 1 and self._file is not None:
            self._wait_for_rollback(row.epoch)
        else:
            self._without_file(row)

    def _wait_for_rollback(self, epoch: int) -> None:
        """Until the file leaves `epoch`, or the limit has passed: then the rollback is undone."""
        deadline = time.monotonic() + self._undo_after
        while self._file_epoch() == epoch:
            if time.monotonic() >= deadline:
                undo_rollback(self._legacy, epoch)
                return
            time.sleep(_FENCE_POLL_SECONDS)

    def _file_epoch(self) -> int:
        return self._legacy.state().epoch

    @property
    def _legacy(self) -> LegacyFile:
        if self._file is None:
            raise Unavailable("LEGACY_SQLITE_PATH is not set")
        return self._file

    def _without_file(self, row: PhaseRow) -> None:
        """With no legacy file configured: adopt a fresh database, refuse one that a file has a claim on."""
        if self._file is not None:
            return
        if (row.epoch, row.fenced) >= (ADOPTED_EPOCH, True):
            raise Unavailable(
                "The legacy file holds the truth: start the service with LEGACY_SQLITE_PATH set"
            )
        follow(self._engine, ADOPTED_EPOCH)
