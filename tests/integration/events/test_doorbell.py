"""The bell rings for one's own types, and notices when its line is dead."""

import threading
from collections.abc import Callable

import psutil
import pytest
from redis import Redis as Client

from devstack.redis import Redis
from service_kit.events import doorbell
from service_kit.events.doorbell import Doorbell
from tests.support.events import running
from tests.support.waiting import wait_until


class Listener:
    """Counts its rings."""

    def __init__(self) -> None:
        self.rings = 0
        self.rung = threading.Event()

    def wake(self) -> None:
        self.rings += 1
        self.rung.set()

    def hears(self, act: Callable[[], object], timeout: float = 5.0) -> bool:
        """Whether it rings after `act`."""
        self.rung.clear()
        act()
        return self.rung.wait(timeout)


def subscribers(redis_url: str, channel: str) -> int:
    with Client.from_url(redis_url) as client:
        return int(client.pubsub_numsub(channel)[0][1])


def test_it_rings_for_the_types_of_a_listener_only(redis_url: str) -> None:
    logins, logouts = Listener(), Listener()
    bell = Doorbell(redis_url, {logins.wake: frozenset({"a", "b"}), logouts.wake: frozenset({"b", "c"})})
    with Client.from_url(redis_url) as client, running(bell):
        wait_until(lambda: logins.rings >= 3 and logouts.rings >= 3, 10, "a ring for each subscription")
        logins.rings = logouts.rings = 0
        for channel in ("a", "b", "b", "c", "d"):
            client.publish(channel, "not even JSON")
        wait_until(lambda: (logins.rings, logouts.rings) == (3, 3))


def test_it_comes_back_after_a_restart_of_redis_and_rings_for_what_it_missed(
    redis_url: str, redis_server: Redis
) -> None:
    listener = Listener()
    with running(Doorbell(redis_url, {listener.wake: frozenset({"a"})})):
        assert listener.rung.wait(5)
        assert listener.hears(lambda: (redis_server.stop(), redis_server.start()), 15)
        with Client.from_url(redis_url) as client:
            assert listener.hears(lambda: client.publish("a", ""))


def test_a_server_that_says_nothing_any_more_is_given_up(
    redis_url: str, redis_server: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection stays open and silent, as when a network path is lost: only the deadline tells."""
    monkeypatch.setattr(doorbell, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(doorbell, "DEADLINE_SECONDS", 0.6)
    listener = Listener()
    server = psutil.Process(redis_server.daemon.pid)
    with running(Doorbell(redis_url, {listener.wake: frozenset({"a"})})):
        assert listener.rung.wait(5)
        assert subscribers(redis_url, "a") == 1
        server.suspend()
        try:
            wait_until(lambda: "doorbell interrupted" in caplog.text, 5)
        finally:
            server.resume()
        with Client.from_url(redis_url) as client:
            wait_until(lambda: listener.hears(lambda: client.publish("a", ""), 0.5), 10, "a new subscription")


def test_a_quiet_line_is_no_dead_line(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(doorbell, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(doorbell, "DEADLINE_SECONDS", 0.3)
    listener = Listener()
    with running(Doorbell(redis_url, {listener.wake: frozenset({"a"})})):
        assert listener.rung.wait(5)
        assert not listener.hears(lambda: None, 1.0), "it subscribed anew"
    assert "interrupted" not in caplog.text
