"""What `celery --app celery_worker.app` starts: worker, beat, flower. Settings are read at import."""

from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_process_shutdown

from celery_worker.context import Context
from celery_worker.schedule import SCHEDULE
from celery_worker.tasks import register
from migration.task_queue import celery_for
from service_kit import log
from service_kit.settings import Settings, load

_TASK_SECONDS = 900
"""A task that takes longer hangs; its process is replaced and its chunk's lease has run out long before."""


def create_app(settings: Settings) -> Celery:
    """The application with its tasks and the schedule of beat."""
    app = celery_for(settings, "celery_worker")
    app.conf.update(
        beat_schedule=SCHEDULE,
        task_time_limit=_TASK_SECONDS,
        worker_send_task_events=True,
        worker_soft_shutdown_timeout=10.0,
    )
    context = Context(settings)
    register(app, context)

    def _log(**_: Any) -> None:
        log.setup("celery", settings.log_level)

    def _close(**_: Any) -> None:
        context.close()

    setup_logging.connect(_log, weak=False)
    worker_process_shutdown.connect(_close, weak=False)
    return app


app = create_app(load("worker"))
