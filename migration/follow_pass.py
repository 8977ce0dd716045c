"""What the command does while workers do the work: send chunks, show progress, end the pass, outlive outages."""

import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from migration import plan as plans
from migration import progress
from migration.answer import ERROR, Issue, Refused
from migration.passes import advance, is_complete
from migration.plan import Plan
from migration.session import Session
from migration.task_queue import TaskQueue, celery_for
from migration.throttle import Throttle, redis_for

POLL_SECONDS = 0.2
LAST_POLL_SECONDS = 0.03
"""Near the end, which nobody should have to wait for. Before that a look costs the workers a processor."""
OUTAGE_SECONDS = 60.0
MOST_ATTEMPTS = 12


class _Pace:
    """How long to look away, from when the pass should end by the speed that was seen at its last chunk."""

    def __init__(self) -> None:
        self._done = -1
        self._end = float("inf")

    def seconds(self, state: progress.State, all_cut: bool) -> float:
        """At most POLL_SECONDS; with chunks still to be cut the workers may be waiting for us."""
        now = time.monotonic()
        if state.done != self._done and state.seconds_left is not None:
            self._done, self._end = state.done, now + state.seconds_left
        return min(POLL_SECONDS, max(LAST_POLL_SECONDS, (self._end - now) / 2)) if all_cut else POLL_SECONDS


def follow(
    session: Session, plan: Plan, finish: Callable[[Session, Plan], bool], show: progress.Display
) -> Plan:
    """See a running pass through and return it as it ended.

    Raises:
        Refused: a chunk fails again and again, the pass became void, or a database stays away.
    """
    tasks = TaskQueue(celery_for(session.settings))
    redis = redis_for(session.settings.redis_url)
    throttle = Throttle(session, redis, 2 * POLL_SECONDS)
    pace = _Pace()
    away_since: float | None = None
    try:
        with show:
            while plan.state == plans.RUNNING:
                try:
                    plan = _step(session, tasks, throttle, plan, finish, show, pace)
                    away_since = None
                except SQLAlchemyError as error:
                    away_since = away_since or time.monotonic()
                    if time.monotonic() - away_since > OUTAGE_SECONDS:
                        raise _away(error) from error
                    time.sleep(1.0)
    finally:
        tasks.close()
        redis.close()
    if plan.state == plans.VOID:
        message = f"Plan {plan.id} is void: {plan.note}."
        raise Refused(Issue("plan_void", ERROR, message, "Run the same command again: it makes a new plan."))
    return plan


def _step(
    session: Session,
    tasks: TaskQueue,
    throttle: Throttle,
    plan: Plan,
    finish: Callable[[Session, Plan], bool],
    show: progress.Display,
    pace: _Pace,
) -> Plan:
    waits = advance(session, tasks, throttle, plan.id)
    complete = is_complete(session, plan.id)
    state = progress.read(
        session.migration,
        plan,
        session.settings.migration_lease_seconds,
        throttle.lag(),
        None if complete else waits,
    )
    show.show(state)
    if state.failing and state.attempts >= MOST_ATTEMPTS:
        message = f"A chunk failed {state.attempts} times: {state.failing}"
        raise Refused(
            Issue("chunk_failing", ERROR, message, "Mend the cause, then run the same command again.")
        )
    if complete:
        finish(session, plan)
        return plans.get(session.migration, plan.id)
    plan = plans.get(session.migration, plan.id)
    time.sleep(pace.seconds(state, plan.next_key is None))
    return plan


def _away(error: SQLAlchemyError) -> Refused:
    cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    message = f"A database has been away for {OUTAGE_SECONDS:.0f} s: {cause}"
    return Refused(
        Issue("database_away", ERROR, message, "When it is back, run the same command: it goes on.")
    )
