"""`python -m tests.support.events_worker`: an events process of the user service with the tests' consumer.

SUPERVISED=off runs the work in the process itself, so that a test which kills it has really ended it.
"""

import os
import sys

from service_kit import log
from service_kit.events import runner
from service_kit.settings import load
from tests.support.events import consumer


def main() -> int:
    """Run until SIGTERM."""
    log.setup("events")
    settings = load("user", os.environ)
    run = runner.work if os.environ.get("SUPERVISED") == "off" else runner.run
    return run(settings, "user", settings.user_database_url, [consumer()])


if __name__ == "__main__":
    sys.exit(main())
