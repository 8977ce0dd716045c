"""Accounts as COPY text.

A line is a row in PostgreSQL's text format: fields between tabs, `\\N` for NULL, a newline behind it. `users` has id,
email, name, created_at, created_at_source; `user_credentials` has user_id, password_hash, salt. COPY TO prints the
same bytes for the same row, so both sides can be compared as text.
"""

from migration.columns import Columns
from migration.dates import postgres_text
from migration.values import CredentialRow, UserRow

USER_COLUMNS = ("id", "email", "name", "created_at", "created_at_source")
CREDENTIAL_COLUMNS = ("user_id", "password_hash", "salt")

_USER_TAIL = b"\t\\N\n"  # created_at_source of a plain row
_ESCAPES = str.maketrans(
    {"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
)


def plain_text(columns: Columns) -> tuple[bytes, bytes]:
    """The lines of both halves of plain rows."""
    if not columns.rows:
        return b"", b""
    keys = columns.keys.split(b"\n")
    users = zip(
        keys, columns.emails.split(b"\n"), columns.names.split(b"\n"), columns.dates.split(b"\n"), strict=True
    )
    credentials = zip(keys, columns.hashes.split(b"\n"), columns.salts().split(b"\n"), strict=True)
    return (
        _USER_TAIL.join(map(b"\t".join, users)) + _USER_TAIL,
        b"\n".join(map(b"\t".join, credentials)) + b"\n",
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
