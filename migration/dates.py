"""`created_at` in the forms that a SQLite column may hold, and its exact source form for the way back.

The legacy default writes `YYYY-MM-DD HH:MM:SS` in UTC; such a value is its own source form. Anything else that has a
plain meaning becomes a UTC timestamp (to the microsecond) beside its exact source, as text with a letter for the
storage class: `i:1700000000`, `r:2460000.5`, `t:2024-01-01T00:00:00Z`.

Numbers, by size: between the Julian days of the years 1 and 9999 a Julian day (as seconds it would be one of the first
63 days of 1970), below 10^11 Unix seconds, above it milliseconds. Digits in a text mean what the number means.
"""

# ruff: noqa: DTZ001 - PostgreSQL's timestamp without time zone, always UTC here

import math
import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import NamedTuple

IMPOSSIBLE, UNREADABLE, OUT_OF_RANGE = "impossible_date", "unreadable_date", "date_out_of_range"

_EPOCH = datetime(1970, 1, 1)
_JULIAN_EPOCH = 2440587.5  # 1970-01-01T00:00:00Z as a Julian day
_JULIAN_DAYS = (1721425.5, 5373484.5)  # 0001-01-01 and 10000-01-01
_MILLISECONDS_FROM = 10**11

_CANONICAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[ T]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
    r"(?: ?(?:(Z|z)|([+-])([0-9]{2}):?([0-9]{2})))?)?"
)
_NUMBER = re.compile(r"-?[0-9]{1,19}(\.[0-9]+)?")
_MAIL = re.compile(
    r"[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} (GMT|[+-][0-9]{4})"
)


class Instant(NamedTuple):
    """`at`: UTC without a zone, None for a legacy NULL; `source`: the exact form unless it is the canonical one."""

    at: datetime | None
    source: str | None


class UnreadableDate(ValueError):
    """The value has no meaning as a date; `reason` is one of IMPOSSIBLE, UNREADABLE, OUT_OF_RANGE."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_date(value: int | float | str | None) -> Instant:
    """The instant of a legacy value.

    Raises:
        UnreadableDate: a day that no calendar has, a text of no known form, or a year outside of 1 to 9999.
    """
    if value is None:
        return Instant(None, None)
    if isinstance(value, str):
        return _read_text(value)
    letter = "i" if isinstance(value, int) else "r"
    return Instant(_from_number(value), f"{letter}:{value!r}")


def source_date(at: datetime | None, source: str | None) -> int | float | str | None:
    """The legacy value of an instant: its source form when it has one, else canonical text."""
    if source is not None:
        letter, _, text = source.partition(":")
        return int(text) if letter == "i" else float(text) if letter == "r" else text
    return None if at is None else at.isoformat(sep=" ")


def postgres_text(at: datetime) -> str:
    """As PostgreSQL prints a timestamp (DateStyle ISO): no trailing zeros in the fraction."""
    text = at.isoformat(sep=" ")
    return text.rstrip("0") if at.microsecond else text


def _read_text(text: str) -> Instant:
    if _CANONICAL.fullmatch(text):
        return Instant(_from_iso(text), None)
    if _ISO.fullmatch(text):
        at = _from_iso(text)
    elif _NUMBER.fullmatch(text):
        at = _from_number(float(text) if "." in text else int(text))
    elif _MAIL.fullmatch(text):
        at = _from_mail(text)
    else:
        raise UnreadableDate(UNREADABLE)
    return Instant(at, f"t:{text}")


def _from_iso(text: str) -> datetime:
    match = _ISO.fullmatch(text)
    if match is None:
        raise UnreadableDate(UNREADABLE)
    year, month, day, hour, minute, second, fraction, _, sign, off_hours, off_minutes = match.groups()
    if int(year) == 0:
        raise UnreadableDate(IMPOSSIBLE if int(month) == 0 else OUT_OF_RANGE)
    micro = int((fraction or "0")[:6].ljust(6, "0"))
    try:
        at = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), micro
        )
        if sign is None:
            return at
        offset = timedelta(hours=int(off_hours), minutes=int(off_minutes))
        zone = timezone(-offset if sign == "-" else offset)
    except ValueError as error:
        raise UnreadableDate(IMPOSSIBLE) from error
    return _to_utc(at.replace(tzinfo=zone))


def _from_mail(text: str) -> datetime:
    """RFC 1123, which JavaScript's toUTCString writes."""
    try:
        at = parsedate_to_datetime(text)
    except ValueError as error:
        raise UnreadableDate(IMPOSSIBLE) from error
    return _to_utc(at if at.tzinfo else at.replace(tzinfo=UTC))


def _to_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise UnreadableDate(OUT_OF_RANGE) from error


def _from_number(value: int | float) -> datetime:
    if isinstance(value, float) and not math.isfinite(value):
        raise UnreadableDate(UNREADABLE)
    first, end = _JULIAN_DAYS
    try:
        if first <= value < end:
            return _EPOCH + timedelta(days=value - _JULIAN_EPOCH)
        if abs(value) < _MILLISECONDS_FROM:
            return _EPOCH + timedelta(seconds=value)
        return _EPOCH + timedelta(milliseconds=value)
    except OverflowError as error:
        raise UnreadableDate(OUT_OF_RANGE) from error
