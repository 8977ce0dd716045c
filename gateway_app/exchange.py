"""What is known of one request while it passes through."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway_app.limits import Quota
from gateway_app.routes import METHODS, Route


@dataclass(slots=True)
class Exchange:
    """Filled in on the way; the log line and the answer's fields are made from it."""

    method: str
    client: str
    correlation_id: str
    origin: str | None = None
    route: Route | None = None
    user_id: int | None = None
    upstream: str = ""
    quota: Quota | None = None
    moved: Sequence[int] = ()
    started: float = field(default_factory=time.perf_counter)

    @property
    def method_label(self) -> str:
        """The method, for logs and metrics; a client may make names up."""
        return self.method if self.method in METHODS else "other"

    @property
    def route_label(self) -> str:
        """The route, for logs and metrics."""
        return self.route.path if self.route is not None else "unmatched"
