"""`python -m user_app`: the user service until SIGTERM."""

import sys

from service_kit import log, server, settings

THREADS = 64
"""More than the database has connections for: a registration waits for its password hash without one."""


def main() -> int:
    """Serve; answers the exit code."""
    try:
        loaded = settings.load("user")
    except settings.SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    log.setup("user", loaded.log_level)
    server.serve(
        "user_app.wsgi:application",
        host=loaded.service_host,
        port=loaded.user_port,
        threads=THREADS,
        notice=loaded.drain_notice_seconds,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
