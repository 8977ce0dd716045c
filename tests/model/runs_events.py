"""The explorations of the event model."""

from tests.model.events import Rules, model
from tests.model.runs import STUCK, Run

RUNS = (
    Run("events: 4 transactions, 2 sequencers, a poisoned event, crash", lambda: model(users=(0, 1, 0, 1))),
    Run(
        "events: 4 transactions, 2 sequencers, 2 crashes",
        lambda: model(users=(0, 1, 0, 1), crashes=2),
        slow=True,
    ),
    Run("the consumer follows identities", lambda: model(Rules(follows="identities")), "lost event"),
    Run(
        "a sequencer looks before it has the lock", lambda: model(Rules(snapshot="before_lock")), "lost event"
    ),
    Run("the cursor moves before the effect", lambda: model(Rules(cursor_moves="before")), "lost event"),
    Run("the cursor moves after the effect", lambda: model(Rules(cursor_moves="after")), "doubled"),
    Run("attempts are not counted before they run", lambda: model(Rules(counts_attempt="never")), STUCK),
    Run(
        "a failed event holds up nobody",
        lambda: model(Rules(parks="nobody"), users=(1, 0, 0)),
        "out of order",
    ),
    Run("a failed event holds up everybody", lambda: model(Rules(parks="everybody")), "lost event"),
)
