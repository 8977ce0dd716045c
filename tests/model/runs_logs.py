"""The explorations of the two logs."""

from tests.model.logs import Rules, forward_log, reverse_log
from tests.model.runs import LOST, Run

RUNS = (
    Run("2 keys, applier, pruned log, chunk, crash", lambda: forward_log(appliers=1)),
    Run("2 keys, 2 appliers, pruned log, chunk", lambda: forward_log(crashes=0, writes=2)),
    Run("2 keys, 2 appliers, pruned log, chunk, crash", forward_log, slow=True),
    Run(
        "(both right) version of a row = its own log entry",
        lambda: forward_log(Rules(version="entry"), writes=2),
    ),
    Run(
        "rows are written without comparing versions",
        lambda: forward_log(Rules(compares=False), crashes=0),
        LOST,
    ),
    Run("the log is pruned by the cursor of one database", lambda: forward_log(Rules(pruned_by="one")), LOST),
    Run("log sequences are given again", lambda: forward_log(Rules(ids_never_again=False)), LOST),
    Run("reverse log: entries are consumed", reverse_log),
    Run("reverse log: a cursor over the ids", lambda: reverse_log(consumes=False), LOST),
)
