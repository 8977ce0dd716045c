"""What beat sends. An entry that no worker has taken when its successor comes is worthless, so it expires."""

from celery_worker.names import ADVANCE, DRAIN_FORWARD, DRAIN_REVERSE, HOUSEKEEPING, PRUNE

SCHEDULE = {
    name.rpartition(".")[2]: {"task": name, "schedule": seconds, "options": {"expires": max(5.0, seconds)}}
    for name, seconds in (
        (DRAIN_FORWARD, 1.0),
        (DRAIN_REVERSE, 1.0),
        (ADVANCE, 1.0),
        (PRUNE, 30.0),
        (HOUSEKEEPING, 600.0),
    )
}
