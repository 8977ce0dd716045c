"""The reverse log tells how long its entries have waited."""

from alembic import op

from service_kit.truth import schema as truth

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """From 0001."""
    truth.upgrade_age(op)


def downgrade() -> None:
    """Back to 0001."""
    truth.downgrade_age(op)
