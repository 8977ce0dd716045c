"""`python -m gateway_app`: the gateway, until SIGTERM or SIGINT; then it drains and ends."""

import asyncio
import gc
import logging
import signal
import sys

from gateway_app.factory import Gateway
from service_kit import log as logs
from service_kit.settings import Settings, SettingsError, load

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
    return asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    asked_to_end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_end.set)
    gateway = Gateway(settings)
    try:
        metrics, _ = gateway.metrics.serve(settings.service_host, settings.gateway_metrics_port)
        await gateway.start()
    except OSError as error:
        ports = f"{settings.gateway_port} or {settings.gateway_metrics_port}"
        sys.stderr.write(f"cannot listen on port {ports}: {error.strerror}\n")
        return 1
    gc.freeze()
    log.info("ready", extra={"host": settings.gateway_host, "port": gateway.server.port})
    await asked_to_end.wait()
    log.info("draining")
    drained = await gateway.drain(NOTICE_SECONDS, GRACE_SECONDS)
    metrics.shutdown()
    log.info("ended", extra={"all_answered": drained})
    return 0


if __name__ == "__main__":
    sys.exit(main())
