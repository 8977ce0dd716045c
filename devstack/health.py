"""Whether a process of the stack does its work, asked from outside."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

from celery import Celery
from kombu.exceptions import KombuError
from redis.exceptions import RedisError
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import SQLAlchemyError

from devstack.plan import DETAILS, Spec
from service_kit import settings
from service_kit.events import status

ANSWER_SECONDS = 3.0
SILENT_SECONDS = 5.0
SETTLED_SECONDS = 1.5
"""A process without an address of its own counts as healthy when it has lived this long."""


def ailment(spec: Spec, age_seconds: float, values: Mapping[str, str]) -> str:
    """What keeps the process from being healthy, in words; empty when nothing does. `values`: all settings."""
    if spec.health:
        return _http(spec.health)
    if spec.kind == "worker":
        return _worker(spec.name, values["REDIS_URL"])
    if spec.kind.endswith("-events"):
        return _events(spec.role, age_seconds, values)
    return "" if age_seconds >= SETTLED_SECONDS else "has only just started"


def _http(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - ours
            body = answer.read()
    except urllib.error.HTTPError as error:
        detail = error.read(500).decode("utf-8", "replace")
        return f"answers {error.code} at {address}: {detail}"
    except OSError as error:
        return f"does not answer at {address}: {getattr(error, 'reason', error)}"
    if address.endswith(DETAILS) and json.loads(body)["status"] != "ok":
        return f"does not find everything well: {body.decode()}"
    return ""


def _worker(name: str, redis_url: str) -> str:
    """Asks over the broker, as Celery's own `inspect ping` does."""
    app = Celery(broker=redis_url, set_as_current=False)
    try:
        answers = app.control.ping(destination=[f"{name}@localhost"], timeout=1.0)
    except (OSError, RedisError, KombuError) as error:
        return f"cannot be asked: {error}"
    finally:
        app.close()
    return "" if answers else "does not answer to a ping"


def _events(service: str, age_seconds: float, values: Mapping[str, str]) -> str:
    """Looks for a sign of life since the process was started."""
    known = settings.load("worker", values)
    engine = create_engine(getattr(known, f"{service}_database_url"), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            beat = status.collect(connection, service, {})["sequencer"]["heartbeat_age_seconds"]
    except SQLAlchemyError as error:
        return f"cannot be asked for in the database: {error}"
    return "" if beat is not None and beat < min(age_seconds, SILENT_SECONDS) else "shows no sign of life"


def wait(check: Callable[[], str], seconds: float, lives: Callable[[], bool]) -> str:
    """Repeats `check` until it finds nothing, or the process does not live any more, at most `seconds`.

    Returns the last finding.
    """
    deadline = time.monotonic() + seconds
    while finding := check():
        if not lives() or time.monotonic() > deadline:
            return finding
        time.sleep(0.1)
    return ""
