"""The triggers on the legacy table, as SQL: capture, which logs the key of every changed row, and the fence.

Capture logs keys only; whoever applies the log reads the rows again. `op` says how the key got there and is used for
nothing but telling a registration from a change: 'i' the row came to be, 'u' it changed, 'd' it went, 'v' it may be
deleted by the REPLACE form of a statement. SQLite runs no delete triggers for those rows (unless the writer's own
connection asks for it), so the rows that a REPLACE would hit are logged before the statement touches them.

Every trigger rests while the toolkit itself writes (`applying`).
"""

from collections.abc import Mapping

from migration.file_schema import TABLE, UniqueIndex

FENCE_MESSAGE = (
    "migration: this file is no longer where users are stored. They moved to PostgreSQL; "
    "stop this program or point it at the new service"
)

_AWAKE = "NOT EXISTS (SELECT 1 FROM migration_state WHERE applying = 1)"

CAPTURE_PREFIX = f"migration_capture_{TABLE}_"
FENCE_PREFIX = f"migration_fence_{TABLE}_"


def capture_triggers(unique: tuple[UniqueIndex, ...]) -> dict[str, str]:
    """Name to CREATE statement, for a table with these unique indexes beside its primary key."""
    victims = " OR ".join(["id = NEW.id", *(_same_key(index) for index in unique)])
    moved = " OR ".join(["NEW.id IS NOT OLD.id", *(_key_moved(index) for index in unique)])
    return _named(
        CAPTURE_PREFIX,
        {
            "before_insert": _trigger("BEFORE INSERT", f"SELECT id, 'v' FROM {TABLE} WHERE {victims}"),  # noqa: S608
            "before_update": _trigger(
                "BEFORE UPDATE",
                f"SELECT id, 'v' FROM {TABLE} WHERE ({victims}) AND id IS NOT OLD.id",  # noqa: S608
                f"({moved})",
            ),
            "insert": _trigger("AFTER INSERT", "VALUES (NEW.id, 'i')"),
            "update": _trigger("AFTER UPDATE", "VALUES (NEW.id, 'u')", "NEW.id IS OLD.id"),
            "rekey": _trigger("AFTER UPDATE", "VALUES (OLD.id, 'd'), (NEW.id, 'i')", "NEW.id IS NOT OLD.id"),
            "delete": _trigger("AFTER DELETE", "VALUES (OLD.id, 'd')"),
        },
    )


def fence_triggers() -> dict[str, str]:
    """Name to CREATE statement. RAISE(ABORT) stops every form of a write, also on connections opened long ago."""
    body = f"WHEN {_AWAKE} BEGIN SELECT RAISE(ABORT, '{FENCE_MESSAGE}'); END"
    return _named(
        FENCE_PREFIX,
        {event.lower(): f"BEFORE {event} ON {TABLE} {body}" for event in ("INSERT", "UPDATE", "DELETE")},
    )


def _trigger(event: str, entries: str, only_when: str = "") -> str:
    when = f"{_AWAKE} AND {only_when}" if only_when else _AWAKE
    return f"{event} ON {TABLE} WHEN {when} BEGIN INSERT INTO migration_log (key, op) {entries}; END"


def _named(prefix: str, bodies: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}{name}": f"CREATE TRIGGER {prefix}{name} {body}" for name, body in bodies.items()}


def _same_key(index: UniqueIndex) -> str:
    pairs = (f'{_quoted(name)} = NEW.{_quoted(name)} COLLATE "{coll}"' for name, coll in index.columns)
    return f"({' AND '.join(pairs)})"


def _key_moved(index: UniqueIndex) -> str:
    """Exact comparison: a collation that folds must not hide that the stored value changed."""
    pairs = (f"NEW.{_quoted(name)} IS NOT OLD.{_quoted(name)} COLLATE BINARY" for name, _ in index.columns)
    return " OR ".join(pairs)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
