"""Events over HTTP: for callers with a key, and whoever reads tells how far it is."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import Engine
from werkzeug.serving import make_server

from service_kit import http
from service_kit.db import engine_for
from service_kit.errors import Unavailable
from service_kit.events import cursors
from service_kit.events.envelope import from_record
from service_kit.events.feed import FeedSource, feed_blueprint
from service_kit.settings import load
from tests.support.environment import AUTH_API_KEY, service_environment
from tests.support.events import consumer, insert_raw, publish, reader, rows, running, scalar, seen, sequence
from tests.support.waiting import wait_until

NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Service:
    """A service that serves the events of `engine`."""

    url: str
    engine: Engine


@pytest.fixture
def service(engine: Engine) -> Iterator[Service]:
    """The feed in a real server, as the user service mounts it."""
    with served(engine) as url:
        yield Service(url, engine)


@contextmanager
def served(engine: Engine) -> Iterator[str]:
    """The address of a server that checks keys and mounts the feed of `engine`."""
    url = engine.url.render_as_string(hide_password=False)
    settings = load("user", service_environment(user_database_url=url, redis_url="redis://127.0.0.1:1"))
    app = Flask("feed")
    http.init_app(app, settings, "user", keys_by_prefix={"/internal": settings.auth_api_keys}, checks={})
    app.register_blueprint(feed_blueprint(engine))
    with listening(app) as address:
        yield address


@contextmanager
def listening(app: Flask) -> Iterator[str]:
    """The address of a server that runs `app`."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def get(service: Service, query: str, key: str = AUTH_API_KEY) -> requests.Response:
    return requests.get(f"{service.url}/internal/events?{query}", headers={"X-API-Key": key}, timeout=10)


def source(*urls: str, key: str = AUTH_API_KEY) -> FeedSource:
    return FeedSource(urls, key, timeout=5)


def test_a_page_has_events_behind_a_position_and_both_ends_of_the_store(service: Service) -> None:
    publish(service.engine, range(5))
    sequence(service.engine)
    publish(service.engine, [9])
    body: dict[str, Any] = get(service, "after=2&limit=2").json()
    assert (body["first"], body["head"]) == (1, 5)
    assert [event["position"] for event in body["events"]] == [3, 4]
    assert set(body["events"][0]) == {
        "position", "user_id", "recorded_at", "id", "type", "data", "timestamp", "version",
    }  # fmt: skip
    assert from_record(body["events"][0]).user_id == 2


@pytest.mark.parametrize("key", ["", "wrong", "sample-key-of-the-gateway"])
def test_nobody_reads_without_the_key_of_a_service_that_may(service: Service, key: str) -> None:
    assert get(service, "after=0", key).status_code == 401


@pytest.mark.parametrize(
    "query",
    ["after=-1", "after=x", "limit=0", "limit=1001", "after=9223372036854775808", "after=%D9%A3", "consumer=%00",
     "consumer=" + "x" * 101],
)  # fmt: skip
def test_a_wrong_question_is_answered_400(service: Service, query: str) -> None:
    assert get(service, query).status_code == 400


def test_text_of_any_kind_comes_through_as_it_was_appended(service: Service) -> None:
    insert_raw(service.engine, "auth.logout", "1.0", 1, r'{"a": "\u0000 \ud800 é \u2028"}')
    sequence(service.engine)
    [event] = source(service.url).read("tests", 0, 10).events
    assert event.data == {"a": "\0 \ud800 é \u2028"}


def test_reading_acknowledges_what_lies_before(service: Service) -> None:
    publish(service.engine, range(5))
    sequence(service.engine)
    source(service.url).read("tests.remote", 3, 10)
    get(service, "after=5")
    readers = "SELECT consumer_id, position FROM event_readers"
    assert rows(service.engine, readers) == [("tests.remote", 3)]
    source(service.url).read("tests.remote", 1, 10)
    assert rows(service.engine, readers) == [("tests.remote", 1)], "a replay has gone back"


def test_a_consumer_reads_another_service_as_it_reads_its_own(service: Service) -> None:
    publish(service.engine, [place % 10 for place in range(1, 1201)])
    sequence(service.engine)
    with running(reader(service.engine, consumer(source="auth"), source=source(service.url))):
        wait_until(lambda: len(seen(service.engine)) == 1200, 20)
        wait_until(lambda: rows(service.engine, "SELECT position FROM event_readers") == [(1200,)], 10)
    assert seen(service.engine) == [(place % 10, place) for place in range(1, 1201)]


def test_the_next_instance_answers_when_one_does_not(service: Service) -> None:
    publish(service.engine, [1])
    sequence(service.engine)
    feed = source(NOWHERE, service.url)
    assert feed.read("tests", 0, 10).head == 1
    assert feed.read("tests", 0, 10).head == 1


@pytest.mark.parametrize(
    ("urls", "key", "word"), [((NOWHERE,), AUTH_API_KEY, "Connection"), ((), "wrong", "401")]
)
def test_a_feed_out_of_reach_is_named_and_waited_for(
    service: Service, urls: tuple[str, ...], key: str, word: str
) -> None:
    feed = source(*(urls or (service.url,)), key=key)
    with pytest.raises(Unavailable, match=word):
        feed.read("tests", 0, 10)
    with service.engine.begin() as connection:
        cursors.register(connection, "tests.seen", "auth", 0)
    with running(reader(service.engine, consumer(source="auth"), source=feed)):
        wait_until(lambda: word in (scalar(service.engine, "SELECT problem FROM event_consumers") or ""), 10)


def test_an_answer_that_is_no_feed_is_named(service: Service) -> None:
    app = Flask("other")
    app.add_url_rule("/internal/events", "x", lambda: {"events": [{"position": "?"}]})
    with listening(app) as url, pytest.raises(Unavailable, match="not the answer of an event feed"):
        source(url).read("tests", 0, 10)


def test_a_feed_whose_database_is_away_says_so_and_shows_no_cause() -> None:
    away = engine_for("postgresql+psycopg2://nobody@127.0.0.1:9/nothing", name="tests")
    with served(away) as url:
        answer = requests.get(f"{url}/internal/events", headers={"X-API-Key": AUTH_API_KEY}, timeout=10)
    assert answer.status_code == 503
    assert "127.0.0.1" not in answer.text
    assert answer.json()["code"] == "unavailable"
