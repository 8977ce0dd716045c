"""Doctor's look at the values: what the copy will reject and what it will keep in an unusual form, with numbers.

The conversion is the copy's own, so what is predicted here is what happens. Rows are read in short portions, so that
writers do not wait. A large file is looked at in evenly spread samples, and the numbers are said to be estimates.
"""

import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from migration.answer import ERROR, INFO, WARNING, Issue
from migration.extract import ROWS_AT_ONCE, Part, border_key, parts
from migration.file_schema import TABLE
from migration.raw_file import RawFile

WHOLE_UP_TO = 2_000_000
SAMPLES = 100
_SHOWN_IDS = 10
_FIRST, _LAST = -(2**63), 2**63 - 1

_COUNTS = {
    # name: condition; counted over the rows that were read
    "dates_with_source_form": "created_at IS NOT NULL AND datetime(created_at, '+0 days') IS NOT created_at",
    "dates_missing": "created_at IS NULL",
    "hashes_not_bcrypt": "NOT (length(password) = 60 AND password GLOB '$2[abxy]$[0-9][0-9]$*')",
    "names_missing": "name IS NULL",
    "ids_not_positive": "id <= 0",
    "ids_beyond_32_bits": "id > 2147483647 OR id < -2147483648",
}
_COUNT = f"SELECT {', '.join(f'total({condition})' for condition in _COUNTS.values())} FROM {TABLE}"  # noqa: S608
_KEEP_EMAILS = f"INSERT INTO temp.emails SELECT lower(email), email FROM {TABLE} WHERE id >= ? AND id <= ?"  # noqa: S608


@dataclass
class Scan:
    """What was seen. `rows`: all rows; `read`: how many were looked at; `rejected`: ids by column and reason."""

    rows: int
    read: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    rejected: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    emails_by_case: int = 0
    emails_twice: int = 0

    @property
    def whole(self) -> bool:
        return self.read >= self.rows

    @property
    def rate(self) -> float | None:
        """Rows/s at which one process reads and converts."""
        return self.read / self.seconds if self.read and self.seconds else None

    def scaled(self, count: int) -> int:
        """What a count over the rows that were read means for all."""
        return count if self.whole else round(count * self.rows / max(self.read, 1))


def scan_values(file: RawFile, *, whole: bool) -> Scan:
    """Look at all rows, or at samples of a file with more than WHOLE_UP_TO rows unless `whole`."""
    with closing(file.open()) as connection:
        connection.execute("CREATE TEMP TABLE emails (folded, email)")
        scan = Scan(connection.execute(f"SELECT count(*) FROM {TABLE}").fetchone()[0])  # noqa: S608
        for first, last in _ranges(connection, scan.rows, whole or scan.rows <= WHOLE_UP_TO):
            began = time.monotonic()
            for part in parts(connection, first, last):
                _take(scan, part)
            scan.seconds += time.monotonic() - began
            counted = connection.execute(f"{_COUNT} WHERE id >= ? AND id <= ?", (first, last)).fetchone()
            scan.counts.update({name: int(count) for name, count in zip(_COUNTS, counted, strict=True)})
            connection.execute(_KEEP_EMAILS, (first, last))
        scan.emails_by_case, scan.emails_twice = _clashes(connection)
    return scan


def findings(scan: Scan) -> list[Issue]:
    """What the operator should know before the copy tells."""
    issues = []
    about = "" if scan.whole else "about "
    for (column, reason), keys in sorted(scan.rejected.items()):
        ids = ", ".join(map(str, keys[:_SHOWN_IDS])) + (", ..." if len(keys) > _SHOWN_IDS else "")
        count = f"{about}{scan.scaled(len(keys))}"
        message = f"Rows that PostgreSQL cannot hold for their {column} ({reason}): {count} (ids {ids})."
        remedy = "Mend them in the file now, or accept later to leave them behind (flask migration rejects)."
        issues.append(Issue("values_rejected", WARNING, message, remedy))
    if scan.emails_twice:
        message = f"Emails that are there more than once: {scan.emails_twice}."
        issues.append(Issue("emails_twice", ERROR, message, "Keep one of each; emails have to be unique."))
    if scan.emails_by_case:
        message = (
            f"Emails that differ from another in case only: {scan.emails_by_case}. They are kept as they are."
        )
        issues.append(Issue("emails_by_case", INFO, message, "See whether they are the same people."))
    issues += _kept(scan, about)
    return issues


def _kept(scan: Scan, about: str) -> Iterator[Issue]:
    told = {
        "hashes_not_bcrypt": (
            WARNING,
            "Passwords that are not bcrypt hashes",
            "They are kept, but nobody can log in with them.",
        ),
        "dates_with_source_form": (
            INFO,
            "Dates that are not YYYY-MM-DD HH:MM:SS",
            "Their exact form is kept beside the time.",
        ),
        "ids_not_positive": (INFO, "Ids that are zero or negative", "They are kept."),
        "ids_beyond_32_bits": (
            INFO,
            "Ids that need more than 32 bits",
            "They are kept; clients must not cut them off.",
        ),
    }
    for code, (severity, what, kept) in told.items():
        count = scan.scaled(scan.counts[code])
        if count:
            yield Issue(code, severity, f"{what}: {about}{count}. {kept}")


def numbers(scan: Scan) -> dict[str, Any]:
    """The scan for machines."""
    rejected = sum(len(keys) for keys in scan.rejected.values())
    return {
        "rows": scan.rows,
        "rows_looked_at": scan.read,
        "rejected": scan.scaled(rejected),
        **{name: scan.scaled(scan.counts[name]) for name in _COUNTS},
    }


def _take(scan: Scan, part: Part) -> None:
    scan.read += part.rows
    for reject in part.rejects:
        scan.rejected[reject.column, reject.reason.partition(":")[0]].append(reject.key)


def _ranges(connection: sqlite3.Connection, rows: int, whole: bool) -> Iterator[tuple[int, int]]:
    """All keys in portions, or SAMPLES portions spread over them."""
    skip = 0 if whole else max(0, rows // SAMPLES - ROWS_AT_ONCE)
    first = _FIRST
    while True:
        border = border_key(connection, first, _LAST, ROWS_AT_ONCE)
        yield first, _LAST if border is None else border - 1
        if border is None:
            return
        following = border_key(connection, border, _LAST, skip) if skip else border
        if following is None:
            return
        first = following


def _clashes(connection: sqlite3.Connection) -> tuple[int, int]:
    """Emails that fold to the same, and emails that are the same, among those that were read."""
    folded = connection.execute(
        "SELECT total(n) FROM (SELECT count(*) AS n FROM (SELECT DISTINCT folded, email FROM temp.emails)"
        " GROUP BY folded HAVING count(*) > 1)"
    ).fetchone()[0]
    twice = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM temp.emails WHERE email IS NOT NULL GROUP BY email HAVING count(*) > 1)"
    ).fetchone()[0]
    return int(folded), int(twice)
