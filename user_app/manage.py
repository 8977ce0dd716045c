"""`python -m user_app.manage upgrade | downgrade | current | history`: the schema of user_db."""

import sys

from service_kit import schema_history, settings


def main() -> int:
    """Run the command line; answers the exit code."""
    return schema_history.main("user_app", lambda: settings.load("user").user_database_url)


if __name__ == "__main__":
    sys.exit(main())
