"""Legacy rows as COPY text, built by SQLite, and the conditions under which that text is what PostgreSQL holds.

A line is a row in PostgreSQL's text format: fields between tabs, `\\N` for NULL, a newline behind it. `users` has id,
email, name, created_at, created_at_source; `user_credentials` has user_id, password_hash, salt. COPY TO prints the
same bytes for the same row, so both sides can be compared as text.

A row is *plain* when its text needs no conversion and no escape; everything else is for `values.convert`. Whether all
rows of a range are plain costs a few aggregates (PLAIN_RANGE) and a look at the text itself (`is_plain_text`), which
replaces what would be a dozen function calls for each row.
"""

from migration.dates import postgres_text
from migration.file_schema import TABLE
from migration.values import CredentialRow, UserRow

USER_COLUMNS = ("id", "email", "name", "created_at", "created_at_source")
CREDENTIAL_COLUMNS = ("user_id", "password_hash", "salt")

_USER_TAIL = "\t\\N\n"  # created_at_source of a plain row
PLAIN_EMAIL_CHARACTERS = 500  # at most 2,000 bytes
PLAIN_TEXT_BYTES = 1 << 20
"""A text shorter than this cannot hold a value that is too long."""

_DATE_IS_PLAIN = "(created_at >= '0001' AND datetime(created_at, '+0 days') IS created_at)"
"""Text in canonical form, which numbers and blobs never equal. The modifier makes SQLite compute it: `24:00:00` would
come back as it is."""

PLAIN_ROW = (
    f"typeof(email) = 'text' AND length(email) <= {PLAIN_EMAIL_CHARACTERS} AND typeof(password) = 'text'"
    f" AND (name IS NULL OR typeof(name) = 'text') AND (created_at IS NULL OR {_DATE_IS_PLAIN})"
)
"""Whether one row may be plain; its text decides the rest."""

# Text sorts above numbers and below blobs, so two comparisons replace typeof() for every row.
_PLAIN_RANGE = " AND ".join(
    [f"min({name}) >= '' AND max({name}) < x''" for name in ("email", "password")]
    + ["ifnull(min(name) >= '' AND max(name) < x'', 1)"]
    + [f"max(length(email)) <= {PLAIN_EMAIL_CHARACTERS}", f"ifnull(min({_DATE_IS_PLAIN}), 1)"]
    + ["count(email) = count(*) AND count(password) = count(*)"]
)

_USER_TEXT = (
    "group_concat(id || '\t' || email || '\t' || ifnull(name, '\\N') || '\t' || ifnull(created_at, '\\N'),"
    f" '{_USER_TAIL}')"
)
_IS_BCRYPT = f"password GLOB '$2[abxy]$[0-9][0-9]${'?' * 53}'"  # 60 characters, as values.salt_of wants them
SALT = f"CASE WHEN {_IS_BCRYPT} THEN substr(password, 1, 29) ELSE '\\N' END"
_CREDENTIAL_TEXT = f"group_concat(id || '\t' || password || '\t' || {SALT}, '\n')"
_TEXTS = f"count(*), count(name) + count(created_at), {_USER_TEXT}, {_CREDENTIAL_TEXT}"
_IN_RANGE = f"FROM {TABLE} WHERE id >= ? AND id <= ?"

RANGE = f"SELECT {_TEXTS}, {_PLAIN_RANGE} {_IN_RANGE}"
"""Parameters: first and last key. Columns: rows, values that are not NULL of name and created_at, both texts, plain."""
PLAIN_ROWS = f"SELECT {_TEXTS}, 1 {_IN_RANGE} AND ({PLAIN_ROW})"
"""The same for the rows that PLAIN_ROW lets through."""
ODD_ROWS = f"SELECT id, email, password, name, created_at {_IN_RANGE} AND NOT ({PLAIN_ROW}) ORDER BY id"
"""The raw rows that it does not."""
ALL_ROWS = f"SELECT id, email, password, name, created_at {_IN_RANGE} ORDER BY id"


def finish(text: bytes | None, tail: bytes) -> bytes:
    """A text out of RANGE with the end of its last line; None, from no rows, is no text."""
    return b"" if text is None else text + tail


USER_TAIL, CREDENTIAL_TAIL = _USER_TAIL.encode(), b"\n"


def is_plain_text(rows: int, filled: int, users: bytes, credentials: bytes) -> bool:
    """Whether finished texts of `rows` rows hold exactly their values: UTF-8, no NUL, nothing that needs an escape.

    `filled` is the number of names and dates that are not NULL. A separator, a line end or a backslash within a value
    shows in the count of all of them.
    """
    if max(len(users), len(credentials)) >= PLAIN_TEXT_BYTES and rows > 1:
        return False
    nulls = 3 * rows - filled
    specials = 5 * rows + nulls  # four tabs and a line end in each row, a backslash for each NULL
    if _count_specials(users) != specials:
        return False
    unsalted = credentials.count(b"\t\\N\n")
    return _count_specials(credentials) == 3 * rows + unsalted and _is_utf8(users) and _is_utf8(credentials)


def _count_specials(text: bytes) -> int:
    """Signs that mean something to COPY, or nothing to PostgreSQL. Every row has some; more are inside of values."""
    return len(text) - len(text.translate(None, b"\t\n\\\r\0"))


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


_ESCAPES = str.maketrans(
    {"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
)


def user_line(row: UserRow) -> bytes:
    """The line of a converted row, as COPY TO prints it."""
    at = None if row.created_at is None else postgres_text(row.created_at)
    return _line((str(row.id), row.email, row.name, at, row.created_at_source))


def credential_line(row: CredentialRow) -> bytes:
    """The line of a converted row, as COPY TO prints it."""
    return _line((str(row.user_id), row.password_hash, row.salt))


def _line(fields: tuple[str | None, ...]) -> bytes:
    escaped = ("\\N" if field is None else field.translate(_ESCAPES) for field in fields)
    return ("\t".join(escaped) + "\n").encode()
