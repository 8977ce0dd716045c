"""Credentials, sessions, revocations, audit log, events, and the migration's tables."""

from alembic import op

from service_kit.events import schema as events
from service_kit.truth import schema as truth

revision = "0001"
down_revision = None

_CREDENTIALS = """
CREATE TABLE user_credentials (
    user_id BIGINT PRIMARY KEY,
    password_hash TEXT NOT NULL,
    salt TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON COLUMN user_credentials.salt IS 'first 29 characters of a bcrypt hash, NULL for other text';
CREATE TABLE credentials_given_up (
    user_id BIGINT PRIMARY KEY,
    given_up_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON TABLE credentials_given_up IS 'registrations settled without a credential; none may follow';
CREATE TABLE account_emails (
    user_id BIGINT PRIMARY KEY,
    email TEXT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
COMMENT ON TABLE account_emails IS 'a copy, fed by user.* events; copied users appear as they change';
"""

_SESSIONS = """
CREATE TABLE sessions (
    id UUID PRIMARY KEY,
    user_id BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    last_seen_at TIMESTAMPTZ NOT NULL,
    user_agent TEXT NOT NULL,
    ip TEXT NOT NULL,
    revoked_at TIMESTAMPTZ,
    revoked_reason TEXT
);
CREATE INDEX sessions_user ON sessions (user_id, created_at DESC);
CREATE INDEX sessions_expiry ON sessions (expires_at);
CREATE TABLE session_tokens (
    token_id TEXT PRIMARY KEY,
    session_id UUID NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    issued_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX session_tokens_session ON session_tokens (session_id);
CREATE INDEX session_tokens_expiry ON session_tokens (expires_at);
"""

_REVOCATIONS = """
CREATE TABLE revocations (
    token_id TEXT PRIMARY KEY,
    user_id BIGINT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    revoked_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    published BOOLEAN NOT NULL DEFAULT false
);
COMMENT ON COLUMN revocations.published IS 'Redis took it once; a Redis that lost it gets all rows';
CREATE INDEX revocations_expiry ON revocations (expires_at);
CREATE INDEX revocations_unpublished ON revocations (token_id) WHERE NOT published;
CREATE TABLE user_cutoffs (
    user_id BIGINT PRIMARY KEY,
    cutoff_ms BIGINT NOT NULL,
    kept TEXT[] NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    published BOOLEAN NOT NULL DEFAULT false
);
COMMENT ON TABLE user_cutoffs IS 'tokens issued up to cutoff_ms (epoch) are revoked, except the kept';
CREATE INDEX user_cutoffs_expiry ON user_cutoffs (expires_at);
CREATE INDEX user_cutoffs_unpublished ON user_cutoffs (user_id) WHERE NOT published;
"""

_AUDIT = """
CREATE TABLE audit_log (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    user_id BIGINT,
    action TEXT NOT NULL,
    ip TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    correlation_id TEXT,
    detail JSONB NOT NULL
);
CREATE INDEX audit_log_user ON audit_log (user_id, at);
CREATE INDEX audit_log_at ON audit_log (at);
"""

_TABLES = (
    "audit_log",
    "user_cutoffs",
    "revocations",
    "session_tokens",
    "sessions",
    "account_emails",
    "credentials_given_up",
    "user_credentials",
)


def upgrade() -> None:
    """From an empty database."""
    for statements in (_CREDENTIALS, _SESSIONS, _REVOCATIONS, _AUDIT):
        op.execute(statements)
    truth.upgrade(op, "user_credentials", "user_id")
    events.upgrade(op)


def downgrade() -> None:
    """To an empty database."""
    events.downgrade(op)
    truth.downgrade(op, "user_credentials")
    for table in _TABLES:
        op.execute(f"DROP TABLE {table}")
