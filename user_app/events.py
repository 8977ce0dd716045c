"""`python -m user_app.events`: numbers and announces this service's events, and runs its consumers."""

import sys

from service_kit import log, settings
from service_kit.events import runner
from user_app.consumers import consumers


def main() -> int:
    """Run until SIGTERM; answers the exit code."""
    try:
        loaded = settings.load("user")
    except settings.SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    log.setup("user events", loaded.log_level)
    return runner.run(loaded, "user", loaded.user_database_url, consumers(loaded))


if __name__ == "__main__":
    sys.exit(main())
