"""`python -m migration.manage upgrade | downgrade | current | history`: the schema of migration_db."""

import sys

from service_kit import schema_history, settings


def main() -> int:
    """Run the command line; answers the exit code."""
    return schema_history.main("migration", lambda: settings.load("worker").migration_database_url)


if __name__ == "__main__":
    sys.exit(main())
