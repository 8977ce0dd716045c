"""A service and its instances: picks one, tries another when that is safe, gives up in time."""

import itertools
import logging
import time
from collections.abc import Callable, Iterable

from gateway_app.upstream.errors import NoInstance, UpstreamError
from gateway_app.upstream.instance import IDEMPOTENT, Instance
from gateway_app.upstream.wire import Response

MAX_IN_FLIGHT = 256
"""Requests to one service at once; what a service that hangs may pile up here. Far more than the auth service lets
wait for a password hash."""

log = logging.getLogger(__name__)

Observer = Callable[[str, str, str], None]
"""Told of every attempt: service, instance, outcome."""


class Overloaded(Exception):
    """More requests are under way to the service than it may have."""


class Service:
    """Lives in the event loop. `timeout` (seconds) covers all attempts together."""

    def __init__(self, name: str, urls: Iterable[str], timeout: float, observe: Observer) -> None:
        self.name = name
        self.instances = tuple(Instance(url) for url in urls)
        self._timeout = timeout
        self._observe = observe
        self._turn = itertools.count()
        self._in_flight = 0

    async def exchange(self, method: str, target: str, fields: str, body: bytes) -> tuple[Response, Instance]:
        """The answer of one of the instances, and which one.

        A request goes to a second instance when the first provably has not acted on it, or when its method may be
        repeated (GET, HEAD, OPTIONS).

        Raises:
            NoInstance, UpstreamError, Overloaded
        """
        if self._in_flight >= MAX_IN_FLIGHT:
            raise Overloaded
        self._in_flight += 1
        try:
            return await self._try_instances(method, target, fields, body)
        finally:
            self._in_flight -= 1

    async def _try_instances(
        self, method: str, target: str, fields: str, body: bytes
    ) -> tuple[Response, Instance]:
        deadline = time.monotonic() + self._timeout
        repeatable = method in IDEMPOTENT
        timeout = self._timeout / 2 if repeatable and len(self.instances) > 1 else self._timeout
        tried: set[Instance] = set()
        failure: Exception = NoInstance(self.name)
        while (instance := self._choose(tried)) is not None:
            tried.add(instance)
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                response = await instance.exchange(method, target, fields, body, min(timeout, left))
            except UpstreamError as error:
                failure = error
                self._note_failure(instance, error)
                if error.sent and not repeatable:
                    break
                continue
            instance.succeeded()
            if response.get("x-draining"):
                instance.drains()
            self._observe(self.name, instance.name, "answered")
            return response, instance
        raise failure

    def _choose(self, tried: set[Instance]) -> Instance | None:
        """The best instance that has not been tried: healthy before ailing, then the least busy, then in turn."""
        now = time.monotonic()
        turn = next(self._turn)
        count = len(self.instances)
        best: tuple[int, int, int] | None = None
        chosen = None
        for i in range(count):
            instance = self.instances[(turn + i) % count]
            if instance in tried or not instance.breaker.would_admit(now):
                continue
            key = (instance.rank, instance.in_flight, i)
            if best is None or key < best:
                best, chosen = key, instance
        if chosen is not None and not chosen.breaker.admit(now):
            return self._choose(tried | {chosen})
        return chosen

    def _note_failure(self, instance: Instance, error: UpstreamError) -> None:
        outcome = "timeout" if error.timed_out else "refused" if error.refused else "broken"
        self._observe(self.name, instance.name, outcome)
        if instance.failed(error):
            log.warning(
                "circuit opened", extra={"upstream": f"{self.name} {instance.name}", "error": str(error)}
            )
