"""One JSON object a line on standard error, with the correlation id of the request or task that it belongs
to.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import IO

from pythonjsonlogger.json import JsonFormatter

_correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)

_QUIET = ("urllib3", "werkzeug", "alembic.runtime.plugins", "kombu", "amqp")
"""Libraries whose INFO lines say nothing that ours do not; their warnings stay."""


def correlation_id() -> str | None:
    """The id of the current request or task, None outside of one."""
    return _correlation_id.get()


def set_correlation_id(value: str | None) -> None:
    """Sets the id for the current context (thread, request or task); `None` clears it."""
    _correlation_id.set(value)


@contextmanager
def correlated(value: str | None) -> Iterator[None]:
    """The id holds inside of the block, the former one again behind it."""
    token = _correlation_id.set(value)
    try:
        yield
    finally:
        _correlation_id.reset(token)


def setup(service: str, level: str = "INFO", stream: IO[str] | None = None) -> None:
    """Sends every logger's lines to `stream` (standard error) as JSON: timestamp, level, service, logger,
    message.

    Values given as `extra={...}` become keys of their own. May be called again: the last call counts.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_formatter(service))
    handler.addFilter(_add_correlation_id)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _formatter(service: str) -> JsonFormatter:
    return JsonFormatter(
        "%(levelname)s %(name)s %(message)s",
        timestamp="timestamp",
        rename_fields={"levelname": "level", "name": "logger"},
        static_fields={"service": service},
        json_ensure_ascii=True,
    )


def _add_correlation_id(record: logging.LogRecord) -> bool:
    value = _correlation_id.get()
    if value is not None and not hasattr(record, "correlation_id"):
        record.correlation_id = value
    return True
