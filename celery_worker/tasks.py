"""The tasks: names and arguments as Flower shows them, each a call into the toolkit.

A task that finds a store away or another process at its work just ends. What is owed is in the databases and the
file's log, and beat or another worker comes back to it.
"""

import logging
import sqlite3
from collections.abc import Callable
from typing import Any

from celery import Celery
from sqlalchemy.exc import SQLAlchemyError

from celery_worker import names
from celery_worker.context import Context
from migration import copy, verify_chunk
from migration.answer import Refused
from migration.batch import Blocked
from migration.drain import drain
from migration.housekeeping import advance_any, tidy
from migration.passes import ChunkResult, advance, run_chunk
from migration.plan import Lease
from migration.prune import prune
from migration.reverse import apply_reverse
from migration.session import Session
from migration.task_queue import COPY_CHUNK, VERIFY_CHUNK

log = logging.getLogger(__name__)


def register(app: Celery, context: Context) -> None:
    """Give the tasks to `app`; they work with the connections of `context`."""

    def chunk_task(work: Callable[[Session, Lease], ChunkResult]) -> Callable[..., str]:
        # `keys` is there for people who look at Flower
        def run(plan: str, chunk: int, keys: str) -> str:  # noqa: ARG001
            outcome = run_chunk(
                context.session, context.throttle, plan, chunk, lambda held: work(context.session, held)
            )
            advance(context.session, context.tasks, context.throttle, plan)
            return outcome

        return run

    def regular(work: Callable[[Session], Any]) -> Callable[[], str]:
        def run() -> str:
            return str(work(context.session)) if context.migrates else "no legacy file"

        return run

    def go_on(session: Session) -> str | None:
        return advance_any(session, context.tasks, context.throttle)

    for name, task in (
        (COPY_CHUNK, chunk_task(copy.run)),
        (VERIFY_CHUNK, chunk_task(verify_chunk.run)),
        (names.DRAIN_FORWARD, regular(drain)),
        (names.DRAIN_REVERSE, regular(apply_reverse)),
        (names.ADVANCE, regular(go_on)),
        (names.PRUNE, regular(prune)),
        (names.HOUSEKEEPING, regular(tidy)),
    ):
        app.task(name=name)(_calm(name, task))


def _calm(name: str, work: Callable[..., str]) -> Callable[..., str]:
    """A store that is away, or a file that needs the operator, is one log line and no traceback each second."""

    def run(**arguments: Any) -> str:
        try:
            return work(**arguments)
        except (Refused, Blocked, SQLAlchemyError, sqlite3.Error) as error:
            cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            log.warning("%s: %s", name, cause)
            return cause

    run.__name__ = name.rpartition(".")[2]
    return run
