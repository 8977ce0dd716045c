"""What both databases hold beside the rows: the version of each key, and why a key has no row."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from migration.values import Reject
from service_kit.db import insert_rows


def note_versions(connection: Connection, keys: Sequence[int], gone: Collection[int], seq: int) -> None:
    """`keys` are at log entry `seq` now, those of `gone` without a row."""
    insert_rows(
        connection,
        "migration_versions (key, seq, deleted)",
        [(key, seq, key in gone) for key in keys],
        "ON CONFLICT (key) DO UPDATE SET seq = excluded.seq, deleted = excluded.deleted",
    )


def note_rejects(connection: Connection, keys: Sequence[int], rejects: Sequence[Reject], seq: int) -> None:
    """Of `keys`, exactly `rejects` are rejected now. An acceptance holds as long as the offending value is the same."""
    connection.exec_driver_sql(
        "DELETE FROM migration_rejects WHERE key = ANY(%(keys)s::bigint[]) AND key <> ALL(%(rejected)s::bigint[])",
        {"keys": list(keys), "rejected": [reject.key for reject in rejects]},
    )
    for reject in rejects:
        connection.exec_driver_sql(
            "INSERT INTO migration_rejects AS old (key, seq, column_name, reason, raw) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (key) DO UPDATE SET seq = excluded.seq, column_name = excluded.column_name,"
            " reason = excluded.reason, raw = excluded.raw, noted_at = now(),"
            " accepted_at = CASE WHEN (old.column_name, old.raw) IS NOT DISTINCT FROM"
            " (excluded.column_name, excluded.raw) THEN old.accepted_at END",
            (reject.key, seq, reject.column, reject.reason, reject.raw),
        )
