"""What the legacy table looks like: its columns, its key and its unique indexes, and what of it cannot be migrated."""

import sqlite3
from dataclasses import dataclass

from migration.answer import ERROR, Issue

TABLE = "users"
COLUMNS = ("id", "email", "password", "name", "created_at")


@dataclass(frozen=True)
class UniqueIndex:
    """A unique index on plain columns: (column, collation) pairs. `WHERE` of a partial index is left out."""

    name: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TableSchema:
    """The legacy table as the connection's transaction sees it. `problems` is empty when it can be migrated."""

    unique: tuple[UniqueIndex, ...]
    problems: tuple[Issue, ...]


def read_schema(connection: sqlite3.Connection) -> TableSchema:
    """Look at the legacy table. Text may come as str or bytes, whatever the connection is set to."""
    created = connection.execute(
        "SELECT sql FROM sqlite_master WHERE type = 'table' AND lower(name) = ?", (TABLE,)
    ).fetchone()
    if created is None:
        return TableSchema((), (_problem("table_missing", f"The file has no table {TABLE}."),))
    columns = {
        text(name): (text(declared), key)
        for name, declared, key in connection.execute(
            "SELECT name, type, pk FROM pragma_table_xinfo(?)", (TABLE,)
        )
    }
    unique, unusable = _unique_indexes(connection)
    problems = [*_column_problems(columns), *unusable]
    if _has_key_index(connection) or columns.get("id", ("", 0)) != ("INTEGER", 1):
        problems.append(
            _problem(
                "key_unusable",
                f"{TABLE}.id is not the INTEGER PRIMARY KEY of the table, so rows have no key.",
            )
        )
    elif "autoincrement" not in text(created[0]).lower():
        problems.append(
            _problem(
                "ids_reused",
                f"{TABLE}.id is not AUTOINCREMENT: the ids of deleted users would be given again.",
            )
        )
    return TableSchema(unique, tuple(problems))


def text(value: str | bytes | None) -> str:
    """Catalogue text from a connection of either text factory."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value or ""


def _column_problems(columns: dict[str, tuple[str, int]]) -> list[Issue]:
    names = {name.lower() for name in columns}
    missing = [name for name in COLUMNS if name not in names]
    unknown = [name for name in columns if name.lower() not in COLUMNS]
    problems = []
    if missing:
        problems.append(_problem("column_missing", f"{TABLE} lacks the columns {', '.join(missing)}."))
    if unknown:
        problems.append(
            _problem(
                "column_unknown", f"{TABLE} has columns with no place in the target: {', '.join(unknown)}."
            )
        )
    return problems


def _unique_indexes(connection: sqlite3.Connection) -> tuple[tuple[UniqueIndex, ...], list[Issue]]:
    rows = connection.execute(
        "SELECT list.name, info.name, info.coll FROM pragma_index_list(?) list, pragma_index_xinfo(list.name) info"
        " WHERE list.\"unique\" = 1 AND list.origin <> 'pk' AND info.key = 1 ORDER BY list.name, info.seqno",
        (TABLE,),
    )
    found: dict[str, list[tuple[str, str]]] = {}
    unusable: dict[str, Issue] = {}
    for index, column, collation in rows:
        name = text(index)
        if column is None:
            message = (
                f"The unique index {name} is on an expression: rows that REPLACE deletes cannot be told."
            )
            unusable[name] = _problem("index_unusable", message)
        else:
            found.setdefault(name, []).append((text(column), text(collation)))
    unique = tuple(
        UniqueIndex(name, tuple(columns)) for name, columns in found.items() if name not in unusable
    )
    return unique, list(unusable.values())


def _has_key_index(connection: sqlite3.Connection) -> bool:
    """Whether the primary key is an index of its own: then `id` is not the row's number (WITHOUT ROWID, DESC)."""
    row = connection.execute("SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk'", (TABLE,)).fetchone()
    return row is not None


def _problem(code: str, message: str) -> Issue:
    return Issue(
        code, ERROR, message, "Change the table's definition (on a copy of the file first), then look again."
    )
