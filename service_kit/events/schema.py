"""The event tables of a service's database, for its Alembic history.

`events` is what happened in this service, append-only: a row may change once, `position` from NULL to a
number, and only the retention may delete one. The other tables are the state of whoever consumes, be it this
service's events or another's.
"""

from typing import Any

RETENTION_SWITCH = "events.retention"
"""The setting that a transaction turns on to be allowed to delete events."""

_EVENTS = """
CREATE TABLE events (
    id BIGINT GENERATED ALWAYS AS IDENTITY (CACHE 1),
    position BIGINT CHECK (position > 0),
    event_id UUID PRIMARY KEY,
    type TEXT NOT NULL,
    version TEXT NOT NULL,
    user_id BIGINT,
    data JSON NOT NULL,
    occurred_at TIMESTAMPTZ NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX events_position ON events (position) WHERE position IS NOT NULL;
CREATE UNIQUE INDEX events_unsequenced ON events (id) WHERE position IS NULL;
CREATE TABLE event_head (
    id SMALLINT PRIMARY KEY CHECK (id = 1),
    last_position BIGINT NOT NULL,
    owner TEXT,
    heartbeat_at TIMESTAMPTZ
);
INSERT INTO event_head VALUES (1, 0, NULL, NULL);
CREATE TABLE event_readers (
    consumer_id TEXT PRIMARY KEY,
    position BIGINT NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL
);
"""

# `data` is JSON, not JSONB: what was appended is what is read, NUL escapes included. It has no equality.
_RULES = """
CREATE FUNCTION events_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events is append-only: % refused', TG_OP
        USING ERRCODE = 'restrict_violation',
              HINT = 'A position is given once, by the sequencer; rows leave by the retention only.';
END $$;
CREATE TRIGGER events_unnumbered BEFORE INSERT ON events FOR EACH ROW
    WHEN (NEW.position IS NOT NULL) EXECUTE FUNCTION events_refuse();
CREATE TRIGGER events_immutable BEFORE UPDATE ON events FOR EACH ROW
    WHEN (OLD.position IS NOT NULL OR NEW.position IS NULL
        OR (OLD.id, OLD.event_id, OLD.type, OLD.version, OLD.user_id, OLD.occurred_at, OLD.recorded_at)
            IS DISTINCT FROM
           (NEW.id, NEW.event_id, NEW.type, NEW.version, NEW.user_id, NEW.occurred_at, NEW.recorded_at)
        OR CAST(OLD.data AS TEXT) <> CAST(NEW.data AS TEXT))
    EXECUTE FUNCTION events_refuse();
CREATE TRIGGER events_kept BEFORE DELETE ON events FOR EACH ROW
    WHEN (OLD.position IS NULL OR current_setting('{switch}', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION events_refuse();
CREATE TRIGGER events_whole BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION events_refuse();
"""

_CONSUMERS = """
CREATE TABLE event_consumers (
    consumer_id TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    position BIGINT NOT NULL,
    last_processed_event_id UUID,
    last_processed_at TIMESTAMPTZ,
    batch_to BIGINT,
    replay_from BIGINT,
    replay_requested_by TEXT,
    resettable BOOLEAN NOT NULL DEFAULT false,
    repeatable BOOLEAN NOT NULL DEFAULT false,
    source_head BIGINT NOT NULL DEFAULT 0,
    behind_since TIMESTAMPTZ,
    problem TEXT,
    owner TEXT,
    heartbeat_at TIMESTAMPTZ
);
CREATE TABLE event_failures (
    consumer_id TEXT NOT NULL REFERENCES event_consumers (consumer_id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('retry', 'waiting', 'parked', 'dead', 'discarded')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    event JSON NOT NULL,
    type TEXT NOT NULL,
    version TEXT NOT NULL,
    error TEXT,
    traceback TEXT,
    noted_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    failed_at TIMESTAMPTZ,
    decided_at TIMESTAMPTZ,
    decided_by TEXT,
    decision_reason TEXT,
    PRIMARY KEY (consumer_id, position)
);
CREATE INDEX event_failures_queue ON event_failures (consumer_id, key, position) WHERE state <> 'discarded';
CREATE UNIQUE INDEX event_failures_one_head ON event_failures (consumer_id, key)
    WHERE state IN ('retry', 'parked', 'dead');
CREATE INDEX event_failures_due ON event_failures (consumer_id, next_at) WHERE state = 'retry';
"""


def upgrade(op: Any) -> None:
    """Create the event store and the consumers' state. `op` is Alembic's, or anything with its `execute`."""
    op.execute(_EVENTS)
    op.execute(_RULES.replace("{switch}", RETENTION_SWITCH))
    op.execute(_CONSUMERS)


def downgrade(op: Any) -> None:
    """Remove what `upgrade` made."""
    for table in ("event_failures", "event_consumers", "event_readers", "event_head", "events"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION events_refuse()")
