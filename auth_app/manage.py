"""`python -m auth_app.manage upgrade | downgrade | current | history`: the schema of auth_db."""

import sys

from service_kit import schema_history, settings


def main() -> int:
    """Run the command line; answers the exit code."""
    return schema_history.main("auth_app", lambda: settings.load("auth").auth_database_url)


if __name__ == "__main__":
    sys.exit(main())
