"""The text that SQLite builds for COPY is what row-by-row conversion gives, whatever is in the table."""

import itertools
import sqlite3
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migration import extract
from migration.copy_text import credential_line, user_line
from migration.values import Reject, Text, convert

HASH = b"$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"

_TEXT = st.one_of(
    st.text(max_size=12).map(lambda text: Text(text.encode("utf-8", "surrogatepass"))),
    st.sampled_from([b"\\N", b"a\tb", b"a\nb", b"a\rb", b"a\\b", b"a\0b", b"\xff", b"", b"\x08\x0c\x0b"]).map(
        Text
    ),
)
_ODD = st.one_of(st.none(), st.binary(max_size=6), st.integers(-5, 5), st.floats(allow_nan=False))
_DATES = st.one_of(
    st.datetimes().map(lambda at: Text(at.isoformat(sep=" ", timespec="seconds").encode())),
    st.sampled_from(
        [
            b"2024-02-30 00:00:00",
            b"2024-01-01 24:00:00",
            b"0000-01-01 00:00:00",
            b"2024-01-01T00:00:00Z",
            b"now",
        ]
    ).map(Text),
    st.integers(0, 2**41),
)
_HASHES = st.one_of(
    st.just(Text(HASH)), st.just(Text(HASH.replace(b"$10$", b"$1:$"))), st.just(Text(b"\\N")), _TEXT, _ODD
)
_PLAIN = st.tuples(
    st.just(Text(b"ann@example.com")), st.just(Text(HASH)), st.just(Text(b"Ann")), st.just(None)
)
_ROWS = st.one_of(
    _PLAIN, st.tuples(st.one_of(_TEXT, _ODD), _HASHES, st.one_of(_TEXT, _ODD), st.one_of(_DATES, _TEXT, _ODD))
)


def _table(rows: Iterable[tuple]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, email, password, name, created_at)")
    for row in rows:
        names, values = [], []
        for value in row:
            names.append("CAST(? AS TEXT)" if isinstance(value, Text) else "?")
            values.append(bytes(value) if isinstance(value, Text) else value)
        connection.execute(f"INSERT INTO users VALUES ({', '.join(names)})", values)
    connection.text_factory = Text
    return connection


def _check(rows: list[tuple], at_once: int) -> None:
    connection = _table(rows)
    stored = connection.execute("SELECT * FROM users ORDER BY id").fetchall()
    found = list(extract.parts(connection, -(2**63), 2**63 - 1, at_once))
    converted = [convert(row) for row in stored]
    good = [row for row in converted if not isinstance(row, Reject)]
    users, credentials = b"".join(part.users for part in found), b"".join(part.credentials for part in found)
    # a plain text may hold what COPY TO would escape; PostgreSQL reads both alike
    assert sorted(_lines(users)) == sorted(_unescaped(user_line(row.user)) for row in good)
    assert sorted(_lines(credentials)) == sorted(_unescaped(credential_line(row.credential)) for row in good)
    assert [reject for part in found for reject in part.rejects] == [
        r for r in converted if isinstance(r, Reject)
    ]
    assert sum(part.rows for part in found) == len(rows)
    assert found[0].first == -(2**63)
    assert found[-1].last == 2**63 - 1
    assert all(one.last + 1 == two.first for one, two in itertools.pairwise(found))


def _lines(text: bytes) -> list[bytes]:
    return [_unescaped(line + b"\n") for line in text.split(b"\n")[:-1]]


def _unescaped(line: bytes) -> bytes:
    for escaped, raw in ((b"\\b", b"\x08"), (b"\\f", b"\x0c"), (b"\\v", b"\x0b")):
        line = line.replace(escaped, raw)
    return line


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(_ROWS, max_size=8), st.integers(1, 4))
def test_any_table_gives_the_lines_of_its_converted_rows(rows: list[tuple], at_once: int) -> None:
    _check([(key - 3, *row) for key, row in enumerate(rows)], at_once)


@pytest.mark.parametrize("value", [b"a\tb", b"a\nb", b"\\N", b"a\0b", b"\xff", b"n" * (2**20 + 1)])
def test_one_unusual_name_among_plain_rows_changes_no_other_row(value: bytes) -> None:
    plain = (Text(b"x@example.com"), Text(HASH), Text(b"Ann"), Text(b"2024-01-31 10:20:30"))
    rows = [(key, *plain) for key in range(100)]
    rows[50] = (50, plain[0], plain[1], Text(value), plain[3])
    _check(rows, 60)


@pytest.mark.parametrize(
    "date",
    [
        b"",
        b"\\N",
        b"2024-02-30 00:00:00",
        b"2024-01-01 24:00:00",
        b"0000-01-01 00:00:00",
        b"2024-1-31 10:20:30",
    ],
)
@pytest.mark.parametrize("others", [0, 3])
def test_a_date_that_postgresql_would_print_otherwise_is_converted(date: bytes, others: int) -> None:
    row = (Text(b"x@example.com"), Text(HASH), None, Text(date))
    rows = [(key, *row[:3], Text(b"2024-01-31 10:20:30") if key else None) for key in range(others)]
    _check([*rows, (others, *row)], 60)


def test_values_too_large_for_one_text_are_read_in_halves() -> None:
    big = Text(b"b" * (2**20))
    rows = [(key, Text(b"x%d" % key), Text(b"h"), big, None) for key in range(40)]
    found = list(extract.parts(_table(rows), 0, 100))
    assert len(found) > 1
    assert max(len(part.users) for part in found) <= extract.LARGEST_TEXT_BYTES
    assert sum(part.rows for part in found) == 40
    assert not any(part.rejects for part in found)


def test_a_value_larger_than_sqlite_may_build_is_rejected_not_fatal() -> None:
    huge = Text(b"h" * (extract.LARGEST_TEXT_BYTES + 1))
    rows = [(1, Text(b"a"), Text(b"h"), huge, None), (2, Text(b"b"), Text(b"h"), None, None)]
    found = list(extract.parts(_table(rows), 0, 10))
    rejects = [reject for part in found for reject in part.rejects]
    assert [(reject.key, reject.column) for reject in rejects] == [(1, "name")]
    assert b"".join(part.users for part in found) == b"2\tb\t\\N\t\\N\t\\N\n"
