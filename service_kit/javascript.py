"""Values as JavaScript sees them: what the legacy server's clients were told depends on these rules.

Text is measured in UTF-16 code units there, `\\s` is a set of its own, `String(x)` of a number is neither
Python's `str` nor its `repr`, and lower-casing follows a newer Unicode.
"""

import math
from typing import Any

WHITESPACE = "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""What `\\s` matches in an ECMAScript regular expression: no U+0085, no U+001C to U+001F."""

_MAX_SAFE_INTEGER = 2**53 - 1

_LOWER_SINCE_UNICODE_14 = (
    {0x1C89: 0x1C8A, 0xA7CB: 0x0264, 0xA7DC: 0x019B}
    | {upper: upper + 1 for upper in (0xA7CC, 0xA7CE, 0xA7D2, 0xA7D4, 0xA7DA)}
    | {upper: upper + 32 for upper in range(0x10D50, 0x10D66)}
    | {upper: upper + 27 for upper in range(0x16EA0, 0x16EB9)}
)
"""Capitals of Unicode 15 to 17: Node 20.20 lowers them, Python 3.11 does not know them."""


def trim(text: str) -> str:
    """`text` without white space at both ends."""
    return text.strip(WHITESPACE)


def lower(text: str) -> str:
    """`text.toLowerCase()`, by the full mapping of Unicode 17 whatever this Python's tables are."""
    return text.lower().translate(_LOWER_SINCE_UNICODE_14)


def utf16_length(text: str) -> int:
    """`text.length`: characters beyond the basic plane count twice."""
    return len(text) + sum(character > "\uffff" for character in text)


def utf8_length(text: str) -> int:
    """Bytes of `text` as UTF-8, a lone surrogate as the three bytes that encoders put in its place."""
    return len(text.encode("utf-8", "surrogatepass"))


def number(literal: str) -> int | float:
    """The number that JSON.parse makes of a JSON number `literal`: a double, given as int where that is
    exact.
    """
    value = float(literal)
    if math.isfinite(value) and value.is_integer() and abs(value) <= _MAX_SAFE_INTEGER:
        return int(value)
    return value


def number_text(value: int | float) -> str:
    """`String(value)`: shortest digits that read back the same, positional from 1e-6 up to below 1e21."""
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    digits, point = _shortest(abs(value))
    return sign + _positional(digits, point)


def _shortest(value: float) -> tuple[str, int]:
    """The shortest digits of `value` and the place of the point: value = 0.DIGITS times ten to the place."""
    mantissa, _, exponent = f"{value!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    return digits.rstrip("0"), point


def _positional(digits: str, point: int) -> str:
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    power = f"e{point - 1:+d}"
    return f"{digits[0]}.{digits[1:]}{power}" if count > 1 else digits + power


def to_text(value: Any) -> str:
    """`String(value)` of a value out of JSON, with the empty text for null, as express-validator reads a
    field.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, list):
        return ",".join(to_text(item) for item in value)
    return "[object Object]"
