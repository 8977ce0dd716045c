"""The migration's tables in a service's database, and the triggers that capture writes for the way back.

Revisions of the service's Alembic history call `upgrade` after they made the captured table.
"""

from typing import Any

from service_kit.truth.phase import PHASE_LOCK

WRONG_PHASE = "MG001"  # SQLSTATE of a write while this database is not the truth

_TABLES = """
CREATE TABLE migration_phase (
    id SMALLINT PRIMARY KEY CHECK (id = 1),
    epoch BIGINT NOT NULL,
    fenced BOOLEAN NOT NULL,
    cursor BIGINT NOT NULL,
    capture BOOLEAN NOT NULL,
    file_id TEXT
);
INSERT INTO migration_phase VALUES (1, 0, false, 0, false, NULL);
CREATE TABLE migration_versions (
    key BIGINT PRIMARY KEY,
    seq BIGINT NOT NULL,
    deleted BOOLEAN NOT NULL
);
CREATE TABLE migration_chunks (
    plan_id TEXT NOT NULL,
    chunk INTEGER NOT NULL,
    seq BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    rejected BIGINT NOT NULL,
    done_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (plan_id, chunk)
);
CREATE TABLE migration_rejects (
    key BIGINT PRIMARY KEY,
    seq BIGINT NOT NULL,
    column_name TEXT NOT NULL,
    reason TEXT NOT NULL,
    raw BYTEA,
    noted_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    accepted_at TIMESTAMPTZ,
    accepted_by TEXT
);
CREATE TABLE migration_reverse_log (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key BIGINT NOT NULL
);
"""

# The services take the lock and check the phase themselves; the trigger does it again for whoever else writes here.
_CAPTURE = """
CREATE FUNCTION migration_capture() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    phase migration_phase%ROWTYPE;
BEGIN
    PERFORM pg_advisory_xact_lock_shared({lock});
    SELECT * INTO phase FROM migration_phase WHERE id = 1;
    IF phase.epoch % 2 = 0 OR phase.fenced THEN
        RAISE EXCEPTION 'this database does not accept writes at epoch % (fenced: %)', phase.epoch, phase.fenced
            USING ERRCODE = '{wrong_phase}',
                  HINT = 'Another store holds the truth: write through the services.';
    END IF;
    IF phase.capture THEN
        IF TG_OP <> 'INSERT' THEN
            INSERT INTO migration_reverse_log (key) VALUES (OLD.{key});
        END IF;
        IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW.{key} <> OLD.{key}) THEN
            INSERT INTO migration_reverse_log (key) VALUES (NEW.{key});
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER migration_capture AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW
    WHEN (current_setting('migration.applying', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION migration_capture();
"""


def upgrade(op: Any, table: str, key: str) -> None:
    """Create the migration's tables, and capture on `table`, whose primary key column is `key`."""
    op.execute(_TABLES)
    capture = _CAPTURE.replace("{table}", table).replace("{key}", key)
    op.execute(capture.replace("{lock}", str(PHASE_LOCK)).replace("{wrong_phase}", WRONG_PHASE))


def upgrade_age(op: Any) -> None:
    """Entries of the reverse log know when they were made, for the lag in seconds."""
    op.execute(
        "ALTER TABLE migration_reverse_log ADD COLUMN at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()"
    )


def downgrade_age(op: Any) -> None:
    """Take back what `upgrade_age` made."""
    op.execute("ALTER TABLE migration_reverse_log DROP COLUMN at")


def downgrade(op: Any, table: str) -> None:
    """Remove what `upgrade` made."""
    op.execute(f"DROP TRIGGER migration_capture ON {table}")
    op.execute("DROP FUNCTION migration_capture()")
    for name in ("reverse_log", "rejects", "chunks", "versions", "phase"):
        op.execute(f"DROP TABLE migration_{name}")
