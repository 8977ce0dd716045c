"""Doctor's look at what is in the file: the table, what else hangs on it, and how far the migration has got."""

import sqlite3
from collections.abc import Iterator, Sequence

from migration.answer import ERROR, INFO, WARNING, Issue
from migration.capture import look
from migration.file_schema import TABLE, TableSchema, read_schema, text

_OURS = "migration!_%"


def examine_table(connection: sqlite3.Connection) -> list[Issue]:
    """Findings about the schema as the connection's transaction sees it."""
    seen = look(connection)
    schema = read_schema(connection)
    issues = list(seen.issues or schema.problems)
    issues += _email_index(schema, issues)
    issues += _other_tables(connection)
    issues += _other_triggers(connection)
    issues += _views(connection)
    return issues


def _email_index(schema: TableSchema, found: Sequence[Issue]) -> Iterator[Issue]:
    alone = any([column[0].lower() for column in index.columns] == ["email"] for index in schema.unique)
    if not alone and not any(issue.code in ("table_missing", "column_missing") for issue in found):
        message = f"{TABLE}.email has no unique index, and PostgreSQL will want emails to be unique."
        remedy = f"CREATE UNIQUE INDEX {TABLE}_email ON {TABLE} (email), after removing duplicates."
        yield Issue("email_not_unique", ERROR, message, remedy)


def _other_tables(connection: sqlite3.Connection) -> Iterator[Issue]:
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND lower(name) <> ?"
        " AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name NOT LIKE ? ESCAPE '!' ORDER BY name",
        (TABLE, _OURS),
    )
    names = [text(row[0]) for row in rows]
    if names:
        message = f"The plan does not know these tables, they stay in the file: {', '.join(names)}."
        yield Issue("tables_unknown", WARNING, message, "Move them yourself if anybody needs them.")
    tied = [name for name in names if _refers_to_users(connection, name)]
    if tied:
        message = f"These tables refer to {TABLE}: {', '.join(tied)}."
        yield Issue(
            "tables_tied", WARNING, message, "After the cutover nothing keeps their references right."
        )


def _refers_to_users(connection: sqlite3.Connection, name: str) -> bool:
    keys = connection.execute('SELECT "table" FROM pragma_foreign_key_list(?)', (name,))
    return any(text(row[0]).lower() == TABLE for row in keys)


def _other_triggers(connection: sqlite3.Connection) -> Iterator[Issue]:
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = ?"
        " AND name NOT LIKE ? ESCAPE '!' ORDER BY name",
        (TABLE, _OURS),
    )
    names = [text(row[0]) for row in rows]
    if names:
        message = f"{TABLE} has triggers of its own: {', '.join(names)}. PostgreSQL will not do what they do."
        remedy = "They also run when changes flow back to the file. If nobody needs what they do, drop them."
        yield Issue("triggers_foreign", WARNING, message, remedy)


def _views(connection: sqlite3.Connection) -> Iterator[Issue]:
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'view' AND lower(sql) LIKE ? ORDER BY name",
        (f"%{TABLE}%",),
    )
    names = [text(row[0]) for row in rows]
    if names:
        message = f"Views that may read {TABLE}: {', '.join(names)}. They show old rows after the cutover."
        yield Issue("views_present", INFO, message)
