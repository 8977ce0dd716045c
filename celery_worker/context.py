"""What the tasks of one worker process share: connections, made when the first task needs them, behind the fork."""

import os
from contextlib import ExitStack

from migration.session import Session, open_session
from migration.task_queue import TaskQueue, celery_for
from migration.throttle import Throttle, redis_for
from service_kit.settings import Settings

THROTTLE_FRESH_SECONDS = 0.3


class Context:
    """Connections of this process. A forked copy of it makes its own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._pid: int | None = None
        self._stack = ExitStack()
        self._session: Session | None = None
        self._throttle: Throttle | None = None
        self._tasks: TaskQueue | None = None

    @property
    def migrates(self) -> bool:
        """Whether there is a legacy file at all."""
        return bool(self.settings.legacy_sqlite_path)

    @property
    def session(self) -> Session:
        """The toolkit's session."""
        self._forget_parent()
        if self._session is None:
            self._session = self._stack.enter_context(open_session(self.settings))
        return self._session

    @property
    def throttle(self) -> Throttle:
        """Says when bulk work has to wait."""
        session = self.session
        if self._throttle is None:
            redis = redis_for(self.settings.redis_url)
            self._stack.callback(redis.close)
            self._throttle = Throttle(session, redis, THROTTLE_FRESH_SECONDS)
        return self._throttle

    @property
    def tasks(self) -> TaskQueue:
        """Sends more tasks."""
        self._forget_parent()
        if self._tasks is None:
            self._tasks = TaskQueue(celery_for(self.settings))
            self._stack.callback(self._tasks.close)
        return self._tasks

    def close(self) -> None:
        """Close what this process has opened."""
        if self._pid == os.getpid():
            self._stack.close()

    def _forget_parent(self) -> None:
        if self._pid != os.getpid():
            self._pid, self._stack = os.getpid(), ExitStack()
            self._session = self._throttle = self._tasks = None
