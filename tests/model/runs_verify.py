"""The explorations of verify and repair."""

from tests.model.runs import LOST, Run
from tests.model.verify import Rules, model

RUNS = (
    Run("verify and repair: 2 passes, a corruption, cutover, rollback", model),
    Run(
        "verify and repair: 3 writes, 2 corruptions, crash",
        lambda: model(writes=3, corruptions=2, changes=3, crashes=1),
        slow=True,
    ),
    Run(
        "a row that changed meanwhile is not compared again",
        lambda: model(Rules(looks_again=False)),
        "false alarm",
    ),
    Run("a repair writes over newer versions", lambda: model(Rules(repair_compares=False)), LOST),
    Run("a repair does not check the epoch", lambda: model(Rules(repair_checks=False)), LOST),
    Run(
        "a repair takes a row away in a transaction of its own",
        lambda: model(Rules(repair_takes="row_away_first")),
        LOST,
        only=True,
    ),
    Run("a pass of another epoch is recorded", lambda: model(Rules(stamp_checks="phase")), "unseen"),
    Run("a pass that repaired counts as clean", lambda: model(Rules(repaired="clean")), "unseen"),
)
