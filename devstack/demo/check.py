"""Hold a store to the ledger, row by row, with plain SQL and none of the toolkit's code."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import bcrypt
import psycopg2

from devstack.demo.ledger import Account, Ledger

Rows = dict[int, tuple[str, str | None, str]]
"""By id: email, name, password hash."""


def file_rows(path: Path) -> Rows:
    """All users of a legacy file."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return {row[0]: row[1:] for row in connection.execute("SELECT id, email, name, password FROM users")}


def database_rows(environ: Mapping[str, str]) -> Rows:
    """All users of the two databases; who has one half only is kept with an empty other one."""
    users = _fetch(environ["USER_DATABASE_URL"], "SELECT id, email, name FROM users WHERE status = 'active'")
    hashes = dict(_fetch(environ["AUTH_DATABASE_URL"], "SELECT user_id, password_hash FROM user_credentials"))
    rows = {user_id: (email, name, hashes.pop(user_id, "")) for user_id, email, name in users}
    return rows | {user_id: ("", None, password) for user_id, password in hashes.items()}


def _fetch(url: str, query: str) -> list[tuple]:
    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()
    finally:
        connection.close()


def differences(found: Rows, before: Rows, ledger: Ledger) -> list[str]:
    """One line for each row that is not what was acknowledged, is missing, or should not be there.

    `before` is the file as the demonstration found it: what nobody touched must be as it was, to the byte.
    """
    lines = []
    for user_id in sorted(found.keys() | before.keys() | ledger.accounts.keys()):
        row, account = found.get(user_id), ledger.accounts.get(user_id)
        if account is not None:
            wrong = "is missing" if row is None else _contradiction(row, account)
        elif user_id in ledger.deleted:
            wrong = "was deleted and is there" if row else ""
        else:
            wrong = "" if row == before.get(user_id) else f"is {row}, was {before.get(user_id)}"
        if wrong:
            lines.append(f"user {user_id} {wrong}")
    return lines


def _contradiction(row: tuple[str, str | None, str], account: Account) -> str:
    if row[:2] != (account.email, account.name):
        return f"is {row[:2]}, acknowledged was {(account.email, account.name)}"
    if account.password_hash is not None and row[2] != account.password_hash:
        return "has another password hash than was written"
    if account.password is not None and not bcrypt.checkpw(account.password.encode(), row[2].encode()):
        return "does not have the password that was acknowledged"
    return ""
