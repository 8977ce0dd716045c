"""What the auth service counts, beside the requests."""

from prometheus_client import CollectorRegistry, Counter


class Metrics:
    """Counters on a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.logins = Counter("auth_logins_total", "Logins answered", ("outcome",), registry=registry)
        self.unrecorded = Counter(
            "auth_unrecorded_total",
            "What auth_db did not take while it was away",
            ("what",),
            registry=registry,
        )
        self.unpublished = Counter(
            "auth_revocations_late_total", "Revocations that Redis did not take at once", registry=registry
        )
        self.fills = Counter(
            "auth_revocation_fills_total", "Rebuilds of the revocations in Redis", registry=registry
        )
