"""Registration over two databases while cutovers and rollbacks run: clients, sweeper and coordinators."""

from collections.abc import Iterator

from tests.model.core_state import distinct, put, slot
from tests.model.registration_coordinators import coordinator_steps
from tests.model.registration_state import (
    ACTIVATE,
    ACTIVE,
    CONFLICT,
    CREATED,
    CREDENTIAL,
    GIVEN_UP,
    GONE,
    NONE,
    PENDING,
    PUT,
    START,
    Bounds,
    Rules,
    World,
    broken,
    initial,
    quiet,
)  # fmt: skip
from tests.model.search import CRASH, PLAIN, Model, Step


def model(rules: Rules = Rules(), bounds: Bounds = Bounds()) -> Model:  # noqa: B008 (both are frozen)
    """The registration model for one set of rules and one size."""

    def steps(world: World) -> Iterator[Step]:
        for k, (step, user) in enumerate(world.clients):
            yield from _client(world, k, step, user, rules, bounds)
        yield from _sweeper(world, rules)
        yield from _follow(world)
        for k, coordinator in distinct(world.coordinators):
            yield from coordinator_steps(world, k, coordinator, rules)
            if coordinator and world.crashes:
                held = coordinator[0] in ("drain_user", "drain_auth", "commit")
                yield CRASH, "crash", "coordinator", world._replace(
                    file=world.file._replace(locked=False) if held else world.file,
                    crashes=world.crashes - 1, coordinators=slot(world.coordinators, k, ()))  # fmt: skip

    return Model(initial(bounds), steps, lambda world: broken(world, rules), quiet)


def _client(world: World, k: int, step: int, user: int, rules: Rules, bounds: Bounds) -> Iterator[Step]:
    def to(action: str, text: str, client: tuple, after: World = world, kind: int = PLAIN) -> Step:
        return kind, action, f"client {k + 1}: {text}", after._replace(clients=put(world.clients, k, client))

    if step == START:
        yield from _register(world, rules, bounds, to)
    elif step == PUT:
        yield from _put_credential(world, user, rules, to)
    elif step == ACTIVATE:
        yield from _activate(world, user, to)
    if step in (PUT, ACTIVATE) and world.crashes:
        yield to("crash", "dies", (GONE, user), world._replace(crashes=world.crashes - 1), CRASH)


def _register(world: World, rules: Rules, bounds: Bounds, to) -> Iterator[Step]:
    file, users = world.file, world.users
    if not file.epoch & 1 and not file.locked:
        if file.row:
            yield to("register.file", "email taken in the file", (CONFLICT, 0))
        elif file.last_id < bounds.ids:
            user = file.last_id + 1
            yield to("register.file", f"user {user} in the file, 201", (CREATED, user), world._replace(
                file=file._replace(row=user, last_id=user, behind=(True, True))))  # fmt: skip
    if users.phase % 4 == 2:
        if not users.row and users.last_id < bounds.ids:
            user = users.last_id + 1
            status = PENDING if rules.order == "pending" else ACTIVE
            yield to("register.pending", f"row {user} in user_db", (PUT, user), world._replace(
                users=users._replace(row=user, status=status, last_id=user)))  # fmt: skip
        elif users.row and users.status == ACTIVE:
            yield to("register.pending", "email taken in user_db", (CONFLICT, 0))
    if max(file.last_id, users.last_id) >= bounds.ids:
        yield to("register.pending", "gives up (the ids of the model are used up)", (GONE, 0))


def _put_credential(world: World, user: int, rules: Rules, to) -> Iterator[Step]:
    auth = world.auth
    if auth.phase % 4 == 2:
        if auth.of(user) == GIVEN_UP:
            yield to("register.credential", f"{user} was given up, starts again", (START, 0))
            return
        after = world._replace(auth=auth.having(user, CREDENTIAL))
        told = (ACTIVATE, user) if rules.order == "pending" else (CREATED, user)
        yield to("register.credential", f"credential {user} in auth_db", told, after)
        if auth.of(user) != CREDENTIAL:
            yield to("register.credential", f"credential {user}, the answer is lost", (PUT, user), after)
    elif auth.phase % 4 == 0:
        there = auth.of(user) == CREDENTIAL
        yield to(
            "register.credential",
            f"wrong side, credential there: {there}",
            (ACTIVATE, user) if there else (START, 0),
        )


def _activate(world: World, user: int, to) -> Iterator[Step]:
    users = world.users
    if users.phase % 4 == 2 and users.row == user:
        yield to("register.activate", f"row {user} active, 201", (CREATED, user),
                 world._replace(users=users._replace(status=ACTIVE)))  # fmt: skip
    elif users.phase % 4 == 2:
        yield to("register.activate", f"row {user} is gone, starts again", (START, 0))
    elif users.phase % 4 == 0:
        yield to("register.activate", "wrong side, the credential was committed, 201", (CREATED, user))


def _sweeper(world: World, rules: Rules) -> Iterator[Step]:
    """Settles pending rows at any moment, their client dead or alive."""
    users, auth, sweeper = world.users, world.auth, world.sweeper
    unsettled = PENDING if rules.order == "pending" else ACTIVE

    def to(action: str, text: str, rest: tuple, after: World = world, kind: int = PLAIN) -> Step:
        return kind, action, f"sweeper: {text}", after._replace(sweeper=rest)

    if not sweeper:
        found = users.phase % 4 == 2 and users.row and users.status == unsettled
        if found and (unsettled == PENDING or auth.of(users.row) != CREDENTIAL):
            yield to("settle.find", f"row {users.row}", (users.row,))
    elif len(sweeper) == 1:
        (user,) = sweeper
        if auth.phase % 4 != 2:
            yield to("settle.credential", "auth_db is not open, stops", ())
        elif auth.of(user) == CREDENTIAL:
            yield to("settle.credential", f"credential {user} is there", (user, True))
        else:
            yield to("settle.credential", f"gives {user} up", (user, False),
                     world._replace(auth=auth.having(user, GIVEN_UP)) if rules.marks else world)  # fmt: skip
    else:
        user, credential = sweeper
        if users.phase % 4 != 2 or users.row != user or users.status != unsettled:
            yield to("settle.row", "nothing left to do", ())
        elif credential:
            yield to("settle.row", f"{user} active", (), world._replace(users=users._replace(status=ACTIVE)))
        else:
            yield to(
                "settle.row", f"{user} deleted", (), world._replace(users=users._replace(row=0, status=NONE))
            )
    if sweeper and world.crashes:
        yield to("crash", "dies", (), world._replace(crashes=world.crashes - 1), CRASH)


def _follow(world: World) -> Iterator[Step]:
    file = world.file
    if world.users.phase < 2 * file.epoch:
        yield PLAIN, "follow", "user_db", world._replace(users=world.users._replace(phase=2 * file.epoch))
    if world.auth.phase < 2 * file.epoch:
        yield PLAIN, "follow", "auth_db", world._replace(auth=world.auth._replace(phase=2 * file.epoch))
    fenced = 2 * file.epoch + 1 in (world.users.phase, world.auth.phase)
    if file.epoch & 1 and not file.locked and fenced:
        yield PLAIN, "undo", f"file epoch {file.epoch + 2}", world._replace(
            file=file._replace(epoch=file.epoch + 2), changes=max(world.changes - 1, 0))  # fmt: skip
