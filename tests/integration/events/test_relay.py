"""Redis gets every event, after its commit, and is never what anybody waits for."""

import json
from collections.abc import Iterator

import pytest
from redis import Redis as Client
from redis.client import PubSub
from sqlalchemy import Engine

from devstack.redis import Redis
from service_kit.events.relay import RELAY, Relay
from tests.support.events import insert_raw, publish, running, scalar, sequence
from tests.support.waiting import wait_until


@pytest.fixture
def listener(redis_url: str) -> Iterator[PubSub]:
    """What `redis-cli SUBSCRIBE auth.logout user.registered` does."""
    with Client.from_url(redis_url) as client, client.pubsub() as subscription:
        subscription.subscribe("auth.logout", "user.registered")
        for _ in range(2):
            assert subscription.get_message(timeout=5)
        yield subscription


def heard(listener: PubSub, count: int) -> list[tuple[str, dict[str, object]]]:
    """(channel, message) of the next `count` messages."""
    messages: list[tuple[str, dict[str, object]]] = []
    while len(messages) < count:
        message = listener.get_message(timeout=5)
        assert message, f"{len(messages)} of {count} messages came"
        messages.append((message["channel"].decode(), json.loads(message["data"])))
    return messages


def published(engine: Engine) -> int | None:
    return scalar(engine, "SELECT position FROM event_consumers WHERE consumer_id = 'relay'")


def relay(engine: Engine, redis_url: str) -> Relay:
    return Relay(engine, redis_url, "user", poll_seconds=0.02)


def test_a_plain_subscriber_sees_the_envelope_on_the_channel_of_its_type(
    engine: Engine, redis_url: str, listener: PubSub
) -> None:
    insert_raw(engine, "user.registered", "1.0", 7, '{"user_id": 7, "email": "a@b.c", "name": null}')
    publish(engine, [1, 2])
    sequence(engine)
    with running(relay(engine, redis_url)):
        messages = heard(listener, 3)
    assert [channel for channel, _ in messages] == ["user.registered", "auth.logout", "auth.logout"]
    first = messages[0][1]
    assert set(first) == {"id", "type", "data", "timestamp", "version"}
    assert first["id"] == scalar(engine, "SELECT event_id::text FROM events WHERE position = 1")
    assert (first["type"], first["version"]) == ("user.registered", "1.0")
    assert first["data"] == {"user_id": 7, "email": "a@b.c", "name": None}


def test_an_event_is_published_after_its_commit_and_its_numbering_only(
    engine: Engine, redis_url: str, listener: PubSub
) -> None:
    with running(relay(engine, redis_url)):
        publish(engine, [1])
        assert listener.get_message(timeout=0.2) is None
        sequence(engine)
        [(_, message)] = heard(listener, 1)
    assert message["data"] == {"user_id": 1, "scope": "this", "number": 1}


def test_a_backlog_is_published_without_a_pause(engine: Engine, redis_url: str, listener: PubSub) -> None:
    publish(engine, range(1600))
    sequence(engine)
    with running(Relay(engine, redis_url, "user", poll_seconds=60.0)):
        messages = heard(listener, 1600)
    assert [message["data"]["number"] for _, message in messages] == list(range(1, 1601))  # type: ignore[index]


def test_a_relay_goes_on_where_the_last_one_ended(engine: Engine, redis_url: str, listener: PubSub) -> None:
    publish(engine, [1])
    sequence(engine)
    with running(relay(engine, redis_url)):
        heard(listener, 1)
        wait_until(lambda: published(engine) == 1)
    publish(engine, [2])
    sequence(engine)
    with running(relay(engine, redis_url)):
        [(_, message)] = heard(listener, 1)
    assert message["data"] == {"user_id": 2, "scope": "this", "number": 1}


def test_only_one_of_two_relays_publishes(engine: Engine, redis_url: str, listener: PubSub) -> None:
    with running(relay(engine, redis_url), relay(engine, redis_url)):
        publish(engine, range(100))
        sequence(engine)
        users = [message["data"]["user_id"] for _, message in heard(listener, 100)]  # type: ignore[index]
        assert listener.get_message(timeout=0.2) is None
    assert users == list(range(100))


def test_what_happened_while_redis_was_away_is_published_when_it_is_back(
    engine: Engine, redis_url: str, redis_server: Redis
) -> None:
    redis_server.stop()
    publish(engine, [1, 2])
    sequence(engine)
    problem = f"SELECT problem FROM event_consumers WHERE consumer_id = '{RELAY}'"
    with running(relay(engine, redis_url)):
        wait_until(lambda: "Redis" in (scalar(engine, problem) or ""), 10)
        assert published(engine) == 0
        redis_server.start()
        wait_until(lambda: published(engine) == 2, 10)
        wait_until(lambda: scalar(engine, problem) is None, 10)
