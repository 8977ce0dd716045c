"""Wakes consumers when something is published in Redis. It carries nothing but the wish to look into the
store."""

import time
from collections.abc import Callable, Mapping

from redis import Redis
from redis.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError

from service_kit.events.loop import Loop

SILENCE_SECONDS = 1.0
DEADLINE_SECONDS = 3.0

_CONNECT_SECONDS = 1.0


class Doorbell(Loop):
    """Subscribes to the types of `listeners` and calls each one's function for a message of its types.

    A connection can die without a word (a stopped server, a lost network path). After a second of silence it
    sends a PING; a server that says nothing for three seconds is given up and connected to anew. Whoever
    listens is woken at each new subscription, for what was published meanwhile.
    """

    def __init__(self, redis_url: str, listeners: Mapping[Callable[[], None], frozenset[str]]) -> None:
        super().__init__("doorbell")
        self._url = redis_url
        self._listeners = listeners

    def session(self) -> None:
        """Listen until the stop or a Redis error."""
        channels = frozenset[str]().union(*self._listeners.values())
        if not channels:
            self.wait(SILENCE_SECONDS)
            return
        client = Redis.from_url(
            self._url, socket_timeout=DEADLINE_SECONDS, socket_connect_timeout=_CONNECT_SECONDS
        )
        with client, client.pubsub() as subscription:
            subscription.subscribe(*channels)
            self._listen(subscription)

    def _listen(self, subscription: PubSub) -> None:
        last_heard = last_asked = time.monotonic()
        while not self.stopping:
            message = subscription.get_message(timeout=SILENCE_SECONDS / 2)
            now = time.monotonic()
            if message is not None:
                last_heard = now
                self.connected()
                self._ring(message)
            elif now - last_heard > DEADLINE_SECONDS:
                raise RedisConnectionError(f"no answer for {DEADLINE_SECONDS:.0f} s")
            elif now - max(last_heard, last_asked) > SILENCE_SECONDS:
                subscription.ping()
                last_asked = now

    def _ring(self, message: Mapping[str, object]) -> None:
        if message["type"] == "subscribe":
            woken = list(self._listeners)
        elif message["type"] == "message" and isinstance(message["channel"], bytes):
            channel = message["channel"].decode()
            woken = [wake for wake, types in self._listeners.items() if channel in types]
        else:
            return
        for wake in woken:
            wake()
