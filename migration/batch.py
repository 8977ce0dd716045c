"""What one snapshot of the legacy file gives to the forward appliers: log entries, and their keys' present rows."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from migration.answer import ERROR, Issue
from migration.capture import look
from migration.file_schema import TABLE, text
from migration.values import COLUMNS, Reject, TargetRow, convert
from service_kit.truth.legacy_file import LEGACY

BATCH_ENTRIES = 2000
_KEYS_AT_ONCE = 500  # older SQLite takes at most 999 parameters
_SELECT_ROWS = f"SELECT {', '.join(COLUMNS)} FROM {TABLE} WHERE id IN "  # noqa: S608


class Blocked(Exception):
    """The log must not be applied: something about the file or the databases has to be mended first."""

    def __init__(self, *issues: Issue) -> None:
        self.issues = issues
        super().__init__("; ".join(f"{issue.code}: {issue.message}" for issue in issues))


@dataclass(frozen=True, slots=True)
class Entry:
    """One log entry. `op`: see `triggers`; `kept_token`: the session that a password change keeps; `at`: unix time."""

    seq: int
    key: int
    op: str
    kept_token: str | None
    at: float


@dataclass(frozen=True)
class Batch:
    """Entries after `after` up to `upto` and, for each of their keys, the row at `last_seq` (not in `rows`: no row).

    `last_seq` is the end of the log in the snapshot: the rows may be younger than the entries, never older.
    `also`: keys without an entry whose rows were read as well.
    """

    epoch: int
    file_id: str
    last_seq: int
    after: int
    upto: int
    entries: tuple[Entry, ...]
    rows: Mapping[int, TargetRow | Reject]
    also: tuple[int, ...] = ()

    @cached_property
    def keys(self) -> list[int]:
        """The keys of the entries, and of `also`, each once."""
        return list(dict.fromkeys((*(entry.key for entry in self.entries), *self.also)))


def read_batch(
    connection: sqlite3.Connection,
    cursors: Sequence[int],
    limit: int | None = BATCH_ENTRIES,
    also: Collection[int] = (),
) -> Batch | None:
    """The entries after the lowest of `cursors`, at most `limit`, in the connection's present transaction.

    `also`: keys whose rows are wanted although no entry names them; they count only when the batch reaches the end of
    the log, since an entry that is not in the batch would have to tell of their change.

    None when PostgreSQL is the truth or nothing is captured yet: there is nothing to apply forward.

    Raises:
        Blocked: capture is not whole, or a cursor, read before this snapshot, is beyond the log.
    """
    seen = look(connection)
    if seen.state.phase == LEGACY or not seen.state.file_is_truth:
        return None
    if not seen.captured:
        raise Blocked(*seen.issues)
    if max(cursors) > seen.last_seq:
        raise Blocked(cursor_beyond_file(max(cursors), seen.last_seq))
    after = min(cursors)
    _refuse_gap(connection, after, seen.last_seq)
    entries = tuple(_entries(connection, after, limit))
    upto = entries[-1].seq if limit is not None and len(entries) == limit else seen.last_seq
    extra = tuple(also) if upto == seen.last_seq else ()
    rows = present_rows(connection, list({*extra, *(entry.key for entry in entries)}))
    return Batch(seen.state.epoch, seen.state.file_id or "", seen.last_seq, after, upto, entries, rows, extra)


def _refuse_gap(connection: sqlite3.Connection, after: int, last: int) -> None:
    """Entries between a cursor and the first one left were pruned: the database was put back from a backup."""
    first = connection.execute("SELECT min(seq) FROM migration_log").fetchone()[0]
    if after < (last if first is None else first - 1):
        message = (
            f"A database stands at log entry {after}; the entries after it are gone from the file's log."
        )
        raise Blocked(
            Issue("log_pruned", ERROR, message, "flask migration dual-write --resync, then verify --repair.")
        )


def cursor_beyond_file(cursor: int, last_seq: int) -> Issue:
    """The finding for a file that knows less than what was already applied from it."""
    return Issue(
        "cursor_beyond_file",
        ERROR,
        f"PostgreSQL has applied log entry {cursor}, but the file's log ends at {last_seq}: "
        "the file was put back from an older copy, or lost commits in a power failure.",
        "Put the newest copy of the file back. If there is none: flask migration dual-write --resync.",
    )


def _entries(connection: sqlite3.Connection, after: int, limit: int | None) -> Iterator[Entry]:
    found = connection.execute(
        "SELECT seq, key, op, kept_token, at FROM migration_log WHERE seq > ? ORDER BY seq LIMIT ?",
        (after, -1 if limit is None else limit),
    )
    for seq, key, op, kept, at in found:
        yield Entry(seq, key, text(op), None if kept is None else text(kept), at)


def logged_keys(connection: sqlite3.Connection, after: int, limit: int) -> list[int]:
    """The keys of the first `limit` entries after `after`, as the connection's transaction sees them."""
    found = connection.execute(
        "SELECT key FROM migration_log WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
    )
    return [row[0] for row in found]


def present_rows(connection: sqlite3.Connection, keys: Sequence[int]) -> dict[int, TargetRow | Reject]:
    """The present rows of `keys`, converted, in the connection's present transaction."""
    rows: dict[int, TargetRow | Reject] = {}
    for some in _portions(keys, _KEYS_AT_ONCE):
        marks = ", ".join("?" * len(some))
        for row in connection.execute(f"{_SELECT_ROWS}({marks})", some):
            rows[row[0]] = convert(row)
    return rows


def _portions(values: Iterable[int], size: int) -> Iterator[list[int]]:
    source = iter(values)
    while portion := list(islice(source, size)):
        yield portion
