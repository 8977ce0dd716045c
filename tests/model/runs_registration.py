"""The explorations of the registration model."""

from tests.model.registration import model
from tests.model.registration_state import Bounds, Rules
from tests.model.runs import HALF_USER, LOST, RESURRECTED, TWO_OWNERS, Run

RUNS = (
    Run("registration: 2 clients, cutover, rollback, crash", lambda: model(bounds=Bounds(changes=2, ids=3))),
    Run(
        "registration: 2 clients, cutover, rollback, cutover", lambda: model(bounds=Bounds(crashes=0, ids=3))
    ),
    Run(
        "registration: 2 clients, cutover, rollback, cutover, 2 crashes",
        lambda: model(bounds=Bounds(crashes=2)),
        slow=True,
    ),
    Run("registration: 2 clients, 2 rollbacks, crash", lambda: model(bounds=Bounds(changes=4)), slow=True),
    Run(
        "registration: 2 clients, 2 coordinators",
        lambda: model(bounds=Bounds(coordinators=2, crashes=0)),
        slow=True,
    ),
    Run(
        "rollback does not settle, every row goes to the file",
        lambda: model(Rules(settles=False, drains="any")),
        RESURRECTED,
    ),
    Run("rollback does not settle, active rows go to the file", lambda: model(Rules(settles=False)), LOST),
    Run("giving an id up leaves no mark", lambda: model(Rules(marks=False)), HALF_USER),
    Run("the user is active before the credential", lambda: model(Rules(order="active")), HALF_USER),
    Run("rollback leaves sqlite_sequence behind", lambda: model(Rules(ids_go_on=False)), TWO_OWNERS),
)
