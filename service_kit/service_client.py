"""Calls from one of our services to another: kept-alive HTTP, every failure an Unavailable.

Instances take turns. One that cannot be reached, or says that it is about to end, is left alone for a moment and the
call goes to the next; a call that may have been received is sent again only when it is repeatable.
"""

import itertools
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from service_kit import api_keys, correlation, draining
from service_kit.errors import Unavailable
from service_kit.log import correlation_id

log = logging.getLogger(__name__)

CONNECT_SECONDS = 1.0
_REST_SECONDS = 2.0


@dataclass(frozen=True)
class Answer:
    """A status below 500 and the JSON object that came with it ({} without one)."""

    status: int
    body: Mapping[str, Any]


@dataclass
class _Instance:
    url: str
    pool: urllib3.HTTPConnectionPool
    rests_until: float = 0.0


class ServiceClient:
    """Speaks to the instances at `urls` of the service named `service`, as the caller that `api_key` stands
    for.

    `timeout` (seconds) bounds each attempt. May be used by many threads.
    """

    def __init__(
        self, service: str, urls: Sequence[str], api_key: str, *, timeout: float, connections: int = 16
    ) -> None:
        limits = urllib3.Timeout(connect=CONNECT_SECONDS, read=timeout)
        self._service = service
        self._api_key = api_key
        self._instances = [
            _Instance(
                url, urllib3.connection_from_url(url, maxsize=connections, timeout=limits, retries=False)
            )
            for url in urls
        ]
        self._turns = itertools.count()
        self._lock = threading.Lock()

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, repeatable: bool = True
    ) -> Answer:
        """The answer to one request; its status is the caller's to judge.

        Raises:
            Unavailable: no instance answered, or the answer was a 5xx or a refused API key.
        """
        failure: Exception | None = None
        for instance in self._in_turn():
            try:
                response = self._send(instance, method, path, body)
            except HTTPError as error:
                failure = error
                instance.rests_until = time.monotonic() + _REST_SECONDS
                log.warning("%s at %s did not answer: %s", self._service, instance.url, type(error).__name__)
                if not repeatable and not isinstance(error, NewConnectionError | ConnectTimeoutError):
                    break
            else:
                leaves = draining.HEADER in response.headers
                instance.rests_until = time.monotonic() + _REST_SECONDS if leaves else 0.0
                return self._judge(response)
        raise Unavailable from failure

    def _in_turn(self) -> list[_Instance]:
        """All instances, beginning with the next in turn; those at rest come last."""
        with self._lock:
            start = next(self._turns) % len(self._instances)
        now = time.monotonic()
        turned = self._instances[start:] + self._instances[:start]
        return sorted(turned, key=lambda instance: instance.rests_until > now)

    def _send(
        self, instance: _Instance, method: str, path: str, body: Mapping[str, Any] | None
    ) -> urllib3.BaseHTTPResponse:
        headers = {api_keys.HEADER: self._api_key}
        if (current := correlation_id()) is not None:
            headers[correlation.HEADER] = current
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        return instance.pool.request(method, path, body=data, headers=headers, redirect=False)

    def _judge(self, response: urllib3.BaseHTTPResponse) -> Answer:
        if response.status >= 500 or response.status == 401:
            log.warning("%s answered %s", self._service, response.status)
            raise Unavailable(retry_after=_seconds(response.headers.get("Retry-After")))
        return Answer(response.status, _object(response.data))


def _seconds(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 1


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(data) if data else {}
    except ValueError as error:
        raise Unavailable from error
    return value if isinstance(value, dict) else {}
