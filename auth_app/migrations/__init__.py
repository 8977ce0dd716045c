"""The Alembic history of auth_db."""
