"""`python -m auth_app.events`: numbers and announces this service's events, and runs its consumers."""

import sys

from auth_app.consumers import consumers
from auth_app.factory import keeper_for
from service_kit import log, settings
from service_kit.db import engine_for
from service_kit.events import runner
from service_kit.events.supervisor import Supervisor


def main() -> int:
    """Run until SIGTERM; answers the exit code."""
    try:
        loaded = settings.load("auth")
    except settings.SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    log.setup("auth events", loaded.log_level)
    return Supervisor(lambda: _work(loaded)).run()


def _work(loaded: settings.Settings) -> int:
    """In the working process: consumers only write to auth_db, the keeper tells Redis."""
    engine = engine_for(loaded.auth_database_url, name="auth events keeper", pool_size=2)
    keeper = keeper_for(loaded, engine)
    keeper.start()
    try:
        return runner.work(loaded, "auth", loaded.auth_database_url, consumers(loaded))
    finally:
        keeper.stop()


if __name__ == "__main__":
    sys.exit(main())
