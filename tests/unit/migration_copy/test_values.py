"""A legacy row is kept to the last byte or left behind whole; nothing in between."""

# ruff: noqa: DTZ001 - timestamps without a zone are what PostgreSQL holds here

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration.dates import UnreadableDate, postgres_text, read_date, source_date
from migration.values import COLUMNS, Reject, TargetRow, Text, convert, revert, salt_of

HASH = "$2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"
PLAIN = (1, Text(b"ann@example.com"), Text(HASH.encode()), Text(b"Ann"), Text(b"2024-01-31 10:20:30"))

RAW = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=40),
    st.binary(max_size=40).map(Text),
    st.text(max_size=40).map(lambda text: Text(text.encode("utf-8", "surrogatepass"))),
    st.datetimes().map(lambda at: Text(at.isoformat(sep=" ", timespec="seconds").encode())),
)


def _with(column: str, value: object) -> tuple:
    row = list(PLAIN)
    row[COLUMNS.index(column)] = value
    return tuple(row)


def _legacy(value: object) -> object:
    return value.encode() if isinstance(value, str) else value


@given(st.tuples(st.integers(-(2**63), 2**63 - 1), RAW, RAW, RAW, RAW))
def test_a_row_goes_and_comes_back_exactly_or_is_rejected(row: tuple) -> None:
    result = convert(row)
    if isinstance(result, TargetRow):
        back = tuple(_legacy(value) for value in revert(result.user, result.credential))
        assert [(type(a) is bytes or type(a) is Text, a) for a in row] == [
            (type(b) is bytes, b) for b in back
        ]
    else:
        assert result.key == row[0]
        assert result.column in COLUMNS[1:]
        value = row[COLUMNS.index(result.column)]
        if isinstance(value, bytes):
            assert result.raw == bytes(value)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("email", None, "missing"),
        ("email", b"ann@example.com", "not_text"),
        ("email", 7, "not_text"),
        ("email", Text(b"a\0b"), "nul_character"),
        ("email", Text(b"\xff"), "not_utf8"),
        ("email", Text(b"\xed\xa0\x80"), "not_utf8"),
        ("email", Text(b"a" * 2001), "too_long: 2001 bytes, at most 2000"),
        ("password", None, "missing"),
        ("password", b"\x01", "not_text"),
        ("name", b"", "not_text"),
        ("name", 1.5, "not_text"),
        ("name", Text(b"n" * (2**20 + 1)), "too_long: 1048577 bytes, at most 1048576"),
        ("created_at", Text(b"2024-02-30 00:00:00"), "impossible_date"),
        ("created_at", Text(b"2024-01-01 24:00:00"), "impossible_date"),
        ("created_at", Text(b"0000-00-00 00:00:00"), "impossible_date"),
        ("created_at", Text(b"yesterday"), "unreadable_date"),
        ("created_at", Text(b""), "unreadable_date"),
        ("created_at", b"2024-01-01 00:00:00", "not_text"),
        ("created_at", float("inf"), "unreadable_date"),
        ("created_at", 10**16, "date_out_of_range"),
        ("created_at", Text(b"0001-01-01 00:00:00+01:00"), "date_out_of_range"),
    ],
)
def test_what_postgresql_cannot_hold_is_rejected_with_its_reason_and_bytes(
    column: str, value: object, reason: str
) -> None:
    result = convert(_with(column, value))
    raw = value if value is None or isinstance(value, bytes) else repr(value).encode()
    assert result == Reject(1, column, reason, raw)


@pytest.mark.parametrize(
    "row",
    [
        PLAIN,
        _with("id", -(2**63)),
        _with("id", 0),
        _with("id", 2**63 - 1),
        _with("email", Text(b"ANN@Example.com")),
        _with("email", Text(b"")),
        _with("email", Text(b"e" * 2000)),
        _with("email", Text("ü@例え.jp".encode())),
        _with("name", None),
        _with("name", Text(b"")),
        _with("name", Text(b"tab\tline\n\\N")),
        _with("password", Text(b"plain text")),
        _with("created_at", None),
    ],
)
def test_what_postgresql_can_hold_is_kept(row: tuple) -> None:
    result = convert(row)
    assert isinstance(result, TargetRow)
    assert tuple(_legacy(value) for value in revert(*result)) == row


@pytest.mark.parametrize(
    ("value", "at", "source"),
    [
        ("2024-01-31 10:20:30", datetime(2024, 1, 31, 10, 20, 30), None),
        ("2024-01-31", datetime(2024, 1, 31), "t:2024-01-31"),
        ("2024-01-31 10:20", datetime(2024, 1, 31, 10, 20), "t:2024-01-31 10:20"),
        ("2024-01-31T10:20:30Z", datetime(2024, 1, 31, 10, 20, 30), "t:2024-01-31T10:20:30Z"),
        ("2024-01-31T10:20:30.5", datetime(2024, 1, 31, 10, 20, 30, 500_000), "t:2024-01-31T10:20:30.5"),
        ("2024-01-31 10:20:30+02:00", datetime(2024, 1, 31, 8, 20, 30), "t:2024-01-31 10:20:30+02:00"),
        ("2024-01-31 10:20:30-0230", datetime(2024, 1, 31, 12, 50, 30), "t:2024-01-31 10:20:30-0230"),
        (
            "Tue, 14 Nov 2023 22:13:20 GMT",
            datetime(2023, 11, 14, 22, 13, 20),
            "t:Tue, 14 Nov 2023 22:13:20 GMT",
        ),
        (1700000000, datetime(2023, 11, 14, 22, 13, 20), "i:1700000000"),
        ("1700000000", datetime(2023, 11, 14, 22, 13, 20), "t:1700000000"),
        (1700000000123, datetime(2023, 11, 14, 22, 13, 20, 123_000), "i:1700000000123"),
        (0, datetime(1970, 1, 1), "i:0"),
        (-1, datetime(1969, 12, 31, 23, 59, 59), "i:-1"),
        (2460000, datetime(2023, 2, 24, 12), "i:2460000"),
        (2460000.5, datetime(2023, 2, 25), "r:2460000.5"),
        (1700000000.25, datetime(2023, 11, 14, 22, 13, 20, 250_000), "r:1700000000.25"),
    ],
)
def test_a_date_is_read_in_every_usual_form_and_keeps_that_form(
    value: int | float | str, at: datetime, source: str | None
) -> None:
    assert read_date(value) == (at, source)
    assert source_date(at, source) == value


@given(
    st.one_of(
        st.integers(), st.floats(), st.text(), st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9:.+]*)?")
    )
)
def test_a_value_is_a_date_or_unreadable_and_nothing_else_happens(value: int | float | str) -> None:
    try:
        at, source = read_date(value)
    except UnreadableDate:
        return
    assert source_date(at, source) == value


def test_a_fraction_is_printed_as_postgresql_prints_it() -> None:
    assert postgres_text(datetime(2024, 1, 1, 0, 0, 10, 500_000)) == "2024-01-01 00:00:10.5"
    assert postgres_text(datetime(2024, 1, 1, 0, 0, 10)) == "2024-01-01 00:00:10"


@pytest.mark.parametrize(
    "text", [HASH[:-1], HASH + "x", HASH.replace("$2b$", "$1b$"), HASH.replace("$10$", "$1x$"), ""]
)
def test_only_a_bcrypt_string_has_a_salt(text: str) -> None:
    assert salt_of(text) is None
    assert salt_of(HASH) == HASH[:29]
