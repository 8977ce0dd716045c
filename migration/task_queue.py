"""Celery as the toolkit sees it: tasks by name, on Redis, as JSON.

A message may be lost (Redis was emptied), late or doubled; nothing rests on it. What has to be done is in
migration_db, and is sent again.
"""

import logging
from typing import Any

from celery import Celery
from kombu import Queue
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from service_kit.settings import Settings

COPY_CHUNK, VERIFY_CHUNK = "migration.copy_chunk", "migration.verify_chunk"
BULK, LIVE = "bulk", "live"
"""Queues: chunks, which any machine with the snapshot may take, and everything else, which needs the legacy file."""
log = logging.getLogger(__name__)

_VISIBILITY_SECONDS = 600
"""After this Redis gives an unacknowledged message to another worker; leases bring work back much sooner."""


def celery_for(settings: Settings, name: str = "migration") -> Celery:
    """A Celery application on the broker of `settings`, with no results: what tasks did is in the databases."""
    app = Celery(name, broker=settings.redis_url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_send_sent_event=True,
        task_default_queue=LIVE,
        task_queues=(Queue(LIVE), Queue(BULK)),
        task_routes={COPY_CHUNK: {"queue": BULK}, VERIFY_CHUNK: {"queue": BULK}},
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": _VISIBILITY_SECONDS,
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
        },
        timezone="UTC",
    )
    return app


class TaskQueue:
    """Sends chunks to the workers."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def send(self, task: str, **arguments: Any) -> bool:
        """Send one task; False when the broker is away, which is only logged."""
        try:
            self._app.send_task(task, kwargs=arguments, retry=False)
        except (KombuError, RedisError, OSError) as error:
            log.warning("task %s was not sent, it will be: %s", task, error)
            return False
        return True

    def close(self) -> None:
        """Give the broker connection back."""
        self._app.close()
