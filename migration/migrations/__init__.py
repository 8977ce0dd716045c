"""The Alembic history of migration_db."""
