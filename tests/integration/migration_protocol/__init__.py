"""The migration protocol on real SQLite files and real PostgreSQL databases."""
