"""A service's events for the consumers of other services: `GET /internal/events`, and its client.

`GET /internal/events?after=POSITION&limit=N&consumer=NAME` answers `{"events": [...], "first": n, "head":
n}`. The application that mounts it checks the API key. Naming itself, a consumer acknowledges that it has
everything up to `after`: what all have acknowledged may be dropped once it is old enough.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import requests
from flask import Blueprint, Response, request
from sqlalchemy import Connection, Engine

from service_kit.db import transaction
from service_kit.errors import Invalid, Unavailable
from service_kit.events import store
from service_kit.events.cursors import RELAXED
from service_kit.events.envelope import from_record, to_json, to_record
from service_kit.events.source import Page

PATH = "/internal/events"
MAX_LIMIT = 1000
MAX_NAME = 100

_ACKNOWLEDGE = """
INSERT INTO event_readers (consumer_id, position, seen_at) VALUES (%s, %s, clock_timestamp())
ON CONFLICT (consumer_id) DO UPDATE SET position = EXCLUDED.position, seen_at = EXCLUDED.seen_at
WHERE event_readers.position <> EXCLUDED.position OR event_readers.seen_at < EXCLUDED.seen_at - interval '5 s'
"""


def feed_blueprint(engine: Engine) -> Blueprint:
    """The route, on the events of the database of `engine`."""
    blueprint = Blueprint("events_feed", __name__)

    def feed() -> Response:
        after = _number("after", 0, (1 << 63) - 1, 0)
        limit = _number("limit", 1, MAX_LIMIT, 500)
        consumer = request.args.get("consumer", "")
        if len(consumer) > MAX_NAME or "\0" in consumer:
            raise Invalid("consumer must be a name")
        with transaction(engine) as connection:
            body = _page(connection, after, limit)
            if consumer:
                connection.exec_driver_sql(RELAXED + _ACKNOWLEDGE, (consumer, after))
        return Response(to_json(body), mimetype="application/json")

    blueprint.add_url_rule(PATH, "feed", feed, methods=["GET"])
    return blueprint


class FeedSource:
    """Another service's store, read from the first of its instances at `urls` that answers.

    `api_key` is the caller's. `timeout`: seconds to connect, and between two bytes.
    """

    def __init__(self, urls: Sequence[str], api_key: str, timeout: float = 5.0) -> None:
        self._urls = list(urls)
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the environment is not for calls between our services
        self._session.headers["X-API-Key"] = api_key

    def read(self, consumer_id: str, after: int, limit: int) -> Page:
        """See `source.Source`."""
        parameters = {"after": after, "limit": min(limit, MAX_LIMIT), "consumer": consumer_id}
        problem = "no address"
        for url in list(self._urls):
            try:
                return self._ask(url, parameters)
            except (requests.RequestException, LookupError, TypeError, ValueError) as error:
                problem = f"{url}{PATH}: {_explain(error)}"
                self._urls.append(self._urls.pop(0))
        raise Unavailable(problem)

    def _ask(self, url: str, parameters: Mapping[str, Any]) -> Page:
        answer = self._session.get(
            url + PATH, params=parameters, timeout=self._timeout, allow_redirects=False
        )
        answer.raise_for_status()
        body = answer.json()
        return Page([from_record(record) for record in body["events"]], body["first"], body["head"])


def _explain(error: Exception) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"status {error.response.status_code}"
    if isinstance(error, requests.RequestException):
        return type(error).__name__
    return "not the answer of an event feed"


def _page(connection: Connection, after: int, limit: int) -> dict[str, Any]:
    events = store.read_after(connection, after, limit)
    first, head = store.bounds(connection)
    return {"events": [to_record(event) for event in events], "first": first, "head": head}


def _number(name: str, low: int, high: int, default: int) -> int:
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
        raise Invalid(f"{name} must be a whole number from {low} to {high}")
    return int(text)
