"""Numbers, white space and lower case come out as JavaScript gives them. Expectations were taken from Node 20."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_kit import javascript

finite = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (42, "42"),
        (5.0, "5"),
        (1.5, "1.5"),
        (0.1, "0.1"),
        (-12.25, "-12.25"),
        (1e21, "1e+21"),
        (123456789012345680000, "123456789012345680000"),
        (1e-6, "0.000001"),
        (1.5e-7, "1.5e-7"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (float("nan"), "NaN"),
    ],
)
def test_a_number_has_the_text_that_string_gives_it(value: float, text: str) -> None:
    assert javascript.number_text(value) == text


@given(finite)
def test_the_text_of_a_number_reads_back_as_the_number(value: float) -> None:
    assert struct.pack("d", float(javascript.number_text(value)) + 0.0) == struct.pack("d", value + 0.0)


@given(finite | st.integers(-(10**300), 10**300))
def test_a_json_literal_is_the_double_that_it_stands_for(value: float) -> None:
    literal = json.dumps(value)
    assert javascript.number(literal) == float(literal)


def test_whole_numbers_beyond_the_exact_ones_are_rounded_as_doubles_are() -> None:
    assert javascript.number("9007199254740993") == 9007199254740992.0
    assert javascript.number_text(javascript.number("12345678901234567890")) == "12345678901234567000"
    assert javascript.number("9" * 5000) == float("inf")


def test_white_space_is_that_of_ecmascript() -> None:
    assert javascript.trim("\ufeff\u00a0\u1680\u2000\u200a\u2028\u202f\u205f\u3000\t\n\v\f\r x \ufeff") == "x"
    for not_white in ("\x85", "\x1c", "\x1f", "\u180e", "\u200b"):
        assert javascript.trim(not_white) == not_white


def test_lower_case_follows_the_full_mapping() -> None:
    for upper, lower in (
        ("ΑΣ", "ας"),
        ("İ", "i̇"),
        ("\u212a", "k"),
        ("ẞ", "ß"),
        ("\u1c89", "\u1c8a"),
        ("\ua7dc", "\u019b"),
    ):
        assert javascript.lower(upper) == lower


def test_values_become_text_as_string_does_it() -> None:
    values = [None, True, False, "a", 1.0, [1, [2, None]], {"toString": "x"}]
    assert [javascript.to_text(value) for value in values] == [
        "",
        "true",
        "false",
        "a",
        "1",
        "1,2,",
        "[object Object]",
    ]


def test_lengths_count_code_units_and_bytes() -> None:
    assert (javascript.utf16_length("a😀"), javascript.utf8_length("a😀é\ud800")) == (3, 10)
