"""The events process of a service: sequencer, relay, doorbell, retention, and the service's consumers.

Several may run; each consumer, the relay and the numbering are active in one of them at a time.
"""

import logging
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from sqlalchemy import Engine

from service_kit.db import engine_for
from service_kit.events.consumer import Consumer
from service_kit.events.doorbell import Doorbell
from service_kit.events.feed import FeedSource
from service_kit.events.loop import Loop
from service_kit.events.reader import Reader
from service_kit.events.relay import Relay
from service_kit.events.retention import Retention
from service_kit.events.retry import RetryPolicy
from service_kit.events.sequencer import Sequencer
from service_kit.events.source import Source, StoreSource
from service_kit.events.supervisor import Supervisor
from service_kit.settings import Settings

_logger = logging.getLogger(__name__)

GRACE_SECONDS = 20.0
_STATEMENT_SECONDS = 30.0


def run(settings: Settings, service: str, database_url: str, consumers: Iterable[Consumer]) -> int:
    """Run until SIGTERM or SIGINT, in a child process that is started again when it ends unasked.

    `service`: "user" or "auth", whose database is `database_url`. Call it in the main thread, before any
    other thread. Returns the exit code.
    """
    wanted = list(consumers)
    return Supervisor(lambda: work(settings, service, database_url, wanted)).run()


def work(settings: Settings, service: str, database_url: str, consumers: list[Consumer]) -> int:
    """Run in this process until SIGTERM or SIGINT; what is begun is finished.

    Returns the exit code: 1 when a thread ended by itself, or did not end within 20 s of the signal.
    """
    asked: list[int] = []  # a threading.Event could be locked by what the signal interrupts
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signal_number, _: asked.append(signal_number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    engine = engine_for(
        database_url,
        name=f"{service} events",
        pool_size=2 * len(consumers) + 6,
        statement_seconds=_STATEMENT_SECONDS,
        lock_seconds=_STATEMENT_SECONDS,
    )
    policy = RetryPolicy(settings.event_max_attempts)
    code = supervise(assemble(settings, service, engine, consumers, policy), lambda: bool(asked))
    engine.dispose()
    return code


def assemble(
    settings: Settings, service: str, engine: Engine, consumers: list[Consumer], policy: RetryPolicy
) -> list[Loop]:
    """The threads of the process, not started."""
    poll = settings.event_poll_seconds
    relay = Relay(engine, settings.redis_url, service, poll)
    readers = [
        Reader(engine, each, _source(settings, service, engine, each), policy, poll) for each in consumers
    ]
    bells = {reader.wake: consumer.types for reader, consumer in zip(readers, consumers, strict=True)}
    keep = timedelta(days=settings.event_retention_days)
    return [
        Sequencer(engine, on_numbered=relay.wake),
        relay,
        Doorbell(settings.redis_url, bells),
        Retention(engine, service, keep),
        *readers,
    ]


def supervise(loops: list[Loop], stop: Callable[[], bool]) -> int:
    """Start the threads, wait until `stop` says so, end them. A thread that ends by itself ends the process:
    to go on without it would look healthy."""
    for loop in loops:
        loop.start()
    while not stop() and all(loop.is_alive() for loop in loops):
        time.sleep(0.1)
    failed = [loop.name for loop in loops if not loop.is_alive()]
    for loop in loops:
        loop.stop()
    deadline = time.monotonic() + GRACE_SECONDS
    for loop in loops:
        loop.join(max(0.0, deadline - time.monotonic()))
    late = [loop.name for loop in loops if loop.is_alive()]
    if failed or late:
        _logger.error("ended by themselves: %s; did not end: %s", failed, late)
    return 1 if failed or late else 0


def _source(settings: Settings, service: str, engine: Engine, consumer: Consumer) -> Source:
    if consumer.source == service:
        return StoreSource(engine)
    urls: Mapping[str, tuple[str, ...]] = {
        "user": settings.user_service_urls,
        "auth": settings.auth_service_urls,
    }
    keys: Mapping[str, tuple[str, ...]] = {"user": settings.user_api_keys, "auth": settings.auth_api_keys}
    return FeedSource(urls[consumer.source], keys[service][0], settings.upstream_timeout_seconds)
