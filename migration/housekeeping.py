"""What is done regularly without anybody asking: see a pass through that no command watches, and tidy up behind it."""

from migration import copy, verify
from migration import plan as plans
from migration.passes import advance, is_complete
from migration.plan import COPY
from migration.session import Session
from migration.snapshot import folder, remove_others
from migration.task_queue import TaskQueue
from migration.throttle import Throttle

KEPT_PLANS = 20
_SNAPSHOT_SECONDS = 3600.0  # a younger one may belong to a plan that is just being made


def advance_any(session: Session, tasks: TaskQueue, throttle: Throttle) -> str | None:
    """Send what the running pass needs and end it behind its last chunk; why it waits, or None."""
    plan = plans.running(session.migration)
    if plan is None:
        return None
    reason = advance(session, tasks, throttle, plan.id)
    if reason is None and is_complete(session, plan.id):
        finish = copy.finish if plan.kind == COPY else verify.finish
        finish(session, plan)
    return reason


def tidy(session: Session) -> list[str]:
    """Remove snapshots that no plan needs and the chunks of old plans; returns the names of removed files."""
    with session.migration.begin() as connection:
        connection.exec_driver_sql(
            "DELETE FROM plans WHERE (state = 'void' OR kind = 'verify' AND state = 'done') AND id NOT IN"
            " (SELECT id FROM (SELECT id, kind, row_number() OVER (PARTITION BY kind ORDER BY created_at DESC) AS age"
            " FROM plans WHERE state <> 'running') AS old WHERE age <= %s)",
            (KEPT_PLANS,),
        )
    plan = plans.running(session.migration)
    keep = {plan.snapshot} if plan else set()
    return remove_others(folder(session.settings), keep, _SNAPSHOT_SECONDS)
