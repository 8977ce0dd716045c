"""Plans and their chunks, what verify found, the operator's control, and who did what."""

from alembic import op

revision = "0001"
down_revision = None

_PLANS = """
CREATE TABLE plans (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('copy', 'verify')),
    state TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'void')),
    file_id TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    snapshot TEXT NOT NULL,
    rows BIGINT NOT NULL,
    next_key BIGINT,
    last_key BIGINT NOT NULL,
    next_chunk INTEGER NOT NULL DEFAULT 1,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    created_by TEXT NOT NULL,
    finished_at TIMESTAMPTZ,
    note TEXT
);
COMMENT ON COLUMN plans.seq IS 'last number of the file''s log in the snapshot';
COMMENT ON COLUMN plans.snapshot IS 'name of the file in the snapshot folder';
COMMENT ON COLUMN plans.next_key IS 'keys from here to last_key are not yet cut into chunks; NULL: all are';
CREATE UNIQUE INDEX plans_one_running ON plans (state) WHERE state = 'running';
CREATE TABLE chunks (
    plan_id TEXT NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
    chunk INTEGER NOT NULL,
    first_key BIGINT NOT NULL,
    last_key BIGINT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'leased', 'done')),
    token BIGINT NOT NULL DEFAULT 0,
    leased_by TEXT,
    leased_until TIMESTAMPTZ,
    queued_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    finished_at TIMESTAMPTZ,
    seconds DOUBLE PRECISION,
    rows BIGINT NOT NULL DEFAULT 0,
    rejected BIGINT NOT NULL DEFAULT 0,
    differences BIGINT NOT NULL DEFAULT 0,
    error TEXT,
    PRIMARY KEY (plan_id, chunk)
);
COMMENT ON COLUMN chunks.token IS 'fencing token: grows with each lease, and only its newest holder may finish';
COMMENT ON COLUMN chunks.last_key IS 'inclusive';
CREATE INDEX chunks_open ON chunks (plan_id) WHERE state <> 'done';
"""

_VERIFY = """
CREATE TABLE suspects (
    plan_id TEXT NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
    key BIGINT NOT NULL,
    PRIMARY KEY (plan_id, key)
);
COMMENT ON TABLE suspects IS 'keys that differed and had changed meanwhile: compared again with the live file';
CREATE TABLE differences (
    plan_id TEXT NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
    key BIGINT NOT NULL,
    database TEXT NOT NULL,
    column_name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('missing', 'extra', 'changed')),
    source TEXT,
    target TEXT,
    repaired_at TIMESTAMPTZ,
    PRIMARY KEY (plan_id, key, database, column_name)
);
COMMENT ON COLUMN differences.source IS 'for people: shortened, and never a password hash';
"""

_OPERATION = """
CREATE TABLE control (
    id SMALLINT PRIMARY KEY CHECK (id = 1),
    paused_at TIMESTAMPTZ,
    paused_by TEXT,
    throttled_at TIMESTAMPTZ,
    throttle_reason TEXT
);
INSERT INTO control (id) VALUES (1);
CREATE TABLE history (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL DEFAULT now(),
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    phase TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    detail JSONB NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE history IS 'append only: who did what, when, and what came of it';
"""

_TABLES = ("history", "control", "differences", "suspects", "chunks", "plans")


def upgrade() -> None:
    """From an empty database."""
    for statements in (_PLANS, _VERIFY, _OPERATION):
        op.execute(statements)


def downgrade() -> None:
    """To an empty database."""
    for table in _TABLES:
        op.execute(f"DROP TABLE {table}")
