"""The Alembic history of user_db."""
