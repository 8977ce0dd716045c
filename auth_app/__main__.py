"""`python -m auth_app`: the auth service until SIGTERM."""

import sys

from service_kit import log, server, settings

_HEADROOM = 32
"""Threads beside those that may wait for a password: they answer health checks and everything else."""


def main() -> int:
    """Serve; answers the exit code."""
    try:
        loaded = settings.load("auth")
    except settings.SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    log.setup("auth", loaded.log_level)
    threads = loaded.bcrypt_workers + loaded.bcrypt_queue + _HEADROOM
    server.serve(
        "auth_app.wsgi:application",
        host=loaded.service_host,
        port=loaded.auth_port,
        threads=threads,
        notice=loaded.drain_notice_seconds,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
