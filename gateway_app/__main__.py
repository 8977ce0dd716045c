"""`python -m gateway_app`: the gateway, until SIGTERM or SIGINT; then it drains and ends."""

import gc
import logging
import signal
import sys
import threading

from gateway_app.factory import Gateway
from service_kit import log as logs
from service_kit.settings import SettingsError, load

NOTICE_SECONDS = 0.5
"""How long it still accepts clients after SIGTERM, telling each to go: the time in which a balancer notices."""
GRACE_SECONDS = 30.0
"""How long answers may take after that."""

log = logging.getLogger(__name__)


def main() -> int:
    """Exit code: 0 ended as asked, 1 could not start, 2 wrong settings."""
    try:
        settings = load("gateway")
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logs.setup("gateway", settings.log_level)
    asked_to_end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_end.set())
    gateway = Gateway(settings)
    try:
        metrics, _ = gateway.metrics.serve(settings.service_host, settings.gateway_metrics_port)
        gateway.server.start()
    except OSError as error:
        sys.stderr.write(
            f"cannot listen on {settings.gateway_host}, port {settings.gateway_port} or "
            f"{settings.gateway_metrics_port}: {error.strerror}\n"
        )
        return 1
    gateway.start()
    gc.freeze()
    log.info("ready", extra={"host": settings.gateway_host, "port": gateway.server.port})
    asked_to_end.wait()
    log.info("draining")
    drained = gateway.server.drain(NOTICE_SECONDS, GRACE_SECONDS)
    gateway.stop()
    metrics.shutdown()
    log.info("ended", extra={"all_answered": drained})
    return 0


if __name__ == "__main__":
    sys.exit(main())
