"""Field checks with the answers of the legacy server's express-validator 7 chains.

A `Form` takes fields one after the other, each method one chain; `check()` then raises `ValidationFailed`
with every error, in that order. An error echoes the value as the chain saw it and leaves `value` out when the
field was missing. Standard validators there look at the text of a value, and at every element of an array.
Where such a value passed and the server went on to store nonsense or died, the field is refused here, with
the chain's own message; so is text that a PostgreSQL column cannot hold. Those refusals are ours: they are told only
when the legacy server had nothing to say against the request.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from service_kit import email_address, javascript
from service_kit.errors import Invalid

INVALID_VALUE = "Invalid value"
MAX_NAME = 1000  # characters; the legacy server knew no limit but the body's
MAX_NEW_PASSWORD = 1024  # characters

_UNSTORABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_PRESENTATION = re.compile("[^\ufe0e\ufe0f][\ufe0e\ufe0f]")
_DIGITS = re.compile(r"[0-9]{1,19}")
_MISSING = object()


class ValidationFailed(Invalid):
    """At least one field is wrong. `errors` has one object for each, in the legacy server's shape."""

    default_message = "Validation failed"
    code = "validation_failed"
    bare = True

    def __init__(self, errors: Iterable[Mapping[str, Any]]) -> None:
        super().__init__()
        self.errors = list(errors)


class Form:
    """The fields of one request. Methods answer the clean value, or None when it is missing or wrong."""

    def __init__(self, fields: Mapping[str, Any], location: str = "body") -> None:
        self._fields = fields
        self._location = location
        self._errors: list[dict[str, Any]] = []
        self._own: list[dict[str, Any]] = []

    def check(self) -> None:
        """Raises ValidationFailed when any field was wrong."""
        if self._errors or self._own:
            raise ValidationFailed(self._errors or self._own)

    def email(self, path: str, message: str = INVALID_VALUE, *, optional: bool = False) -> str | None:
        """`isEmail().normalizeEmail()`: the address as it is stored and looked up."""
        value = self._take(path)
        if value is _MISSING and optional:
            return None
        if not self._passes(path, value, message, email_address.is_email):
            return None
        address = email_address.normalize(value)
        if address is None or not is_storable(address):
            self._refuse_ours(path, value, message)
            return None
        return address

    def name(self, path: str, message: str = INVALID_VALUE, *, optional: bool = True) -> str | None:
        """`trim().isLength({min: 1})`: a name without white space around it; numbers and booleans become text."""
        value = self._take(path)
        if value is _MISSING and optional:
            return None
        if isinstance(value, dict):
            self._refuse_ours(path, value, message)
            return None
        if isinstance(value, list):
            self._passes(path, [javascript.trim(javascript.to_text(item)) for item in value], message, bool)
            return None
        text = javascript.trim(_text_of(value))
        if not text:
            self._refuse(path, text, message)
        elif len(text) > MAX_NAME or not is_storable(text):
            self._refuse_ours(path, text, message)
        else:
            return text
        return None

    def password(self, path: str, message: str = INVALID_VALUE, *, min_length: int = 1) -> str | None:
        """`isLength({min})`: a password to compare, any text of at least `min_length` characters."""
        value = self._take(path)
        return value if self._passes(path, value, message, lambda text: _length(text) >= min_length) else None

    def new_password(self, path: str, message: str = INVALID_VALUE, *, min_length: int = 6) -> str | None:
        """`isLength({min})`: a password to keep; control characters and overlong ones are refused."""
        value = self.password(path, message, min_length=min_length)
        if value is not None and (len(value) > MAX_NEW_PASSWORD or not is_storable(value)):
            self._refuse_ours(path, value, message)
            return None
        return value

    def text(self, path: str, accept: Callable[[str], Any], message: str = INVALID_VALUE) -> str | None:
        """An optional text that `accept` takes; for routes that the legacy server did not have."""
        value = self._take(path)
        if value is _MISSING:
            return None
        if not isinstance(value, str) or not is_storable(value) or not accept(value):
            self._refuse(path, value, message)
            return None
        return value

    def flag(self, path: str, message: str = INVALID_VALUE) -> bool | None:
        """An optional true or false; for routes that the legacy server did not have."""
        value = self._take(path)
        if value is _MISSING:
            return None
        if not isinstance(value, bool):
            self._refuse(path, value, message)
            return None
        return value

    def number(self, path: str, low: int, high: int, message: str = INVALID_VALUE) -> int | None:
        """An optional whole number out of a query, as its digits; for routes that the legacy server did not
        have.
        """
        value = self._take(path)
        if value is _MISSING:
            return None
        if not isinstance(value, str) or not _DIGITS.fullmatch(value) or not low <= int(value) <= high:
            self._refuse(path, value, message)
            return None
        return int(value)

    def _take(self, path: str) -> Any:
        return self._fields.get(path, _MISSING)

    def _passes(self, path: str, value: Any, message: str, accept: Callable[[str], Any]) -> bool:
        """Whether `value` is a text that `accept` takes; the validator's own errors come first, element by
        element.
        """
        elements = value if isinstance(value, list) else [value]
        wrong = [item for item in elements if not accept(_text_of(item))]
        for item in wrong:
            self._refuse(path, item, message)
        if not wrong and not isinstance(value, str):
            self._refuse_ours(path, value, message)
            return False
        return not wrong

    def _refuse(self, path: str, value: Any, message: str) -> None:
        self._errors.append(self._error(path, value, message))

    def _refuse_ours(self, path: str, value: Any, message: str) -> None:
        self._own.append(self._error(path, value, message))

    def _error(self, path: str, value: Any, message: str) -> dict[str, Any]:
        error: dict[str, Any] = {"type": "field"}
        if value is not _MISSING:
            error["value"] = _as_json(value)
        return {**error, "msg": message, "path": path, "location": self._location}


def is_storable(text: str) -> bool:
    """Whether `text` is free of control characters, NUL and lone surrogates."""
    return _UNSTORABLE.search(text) is None


def _text_of(value: Any) -> str:
    return "" if value is _MISSING else javascript.to_text(value)


def _length(text: str) -> int:
    """validator.js `isLength`: characters, one with a presentation selector behind it counted once."""
    return len(text) - len(_PRESENTATION.findall(text))


def _as_json(value: Any) -> Any:
    """`value` for an answer: JSON has no infinity, and JSON.stringify writes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    return value
