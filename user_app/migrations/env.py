"""Entry of Alembic into this history."""

from service_kit.schema_history import run_in_environment

run_in_environment()
