"""The id that follows one request through every service and log line."""

import re
import uuid

HEADER = "X-Correlation-ID"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,128}")


def accept(value: str | None) -> str:
    """The caller's id when it is well formed, else a new one: an id goes into logs, headers and queries as it
    is.
    """
    return value if value and _WELL_FORMED.fullmatch(value) else str(uuid.uuid4())
