"""Whether a process of the stack does its work, asked from outside."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable

from celery import Celery

from devstack.plan import Spec

ANSWER_SECONDS = 3.0
SETTLED_SECONDS = 1.5
"""A process without an address of its own counts as healthy when it has lived this long."""


def ailment(spec: Spec, age_seconds: float, redis_url: str) -> str:
    """What keeps the process from being healthy, in words; empty when nothing does."""
    if spec.health:
        return _http(spec.health)
    if spec.kind == "worker":
        return _worker(spec.name, redis_url)
    return "" if age_seconds >= SETTLED_SECONDS else "has only just started"


def _http(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=ANSWER_SECONDS):  # noqa: S310 - our own http address
            return ""
    except urllib.error.HTTPError as error:
        detail = error.read(500).decode("utf-8", "replace")
        return f"answers {error.code} at {address}: {detail}"
    except OSError as error:
        return f"does not answer at {address}: {getattr(error, 'reason', error)}"


def _worker(name: str, redis_url: str) -> str:
    """Asks over the broker, as Celery's own `inspect ping` does."""
    app = Celery(broker=redis_url, set_as_current=False)
    try:
        answers = app.control.ping(destination=[f"{name}@localhost"], timeout=1.0)
    except OSError as error:
        return f"cannot be asked: {error}"
    finally:
        app.close()
    return "" if answers else "does not answer to a ping"


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
