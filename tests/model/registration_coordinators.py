"""Registration model: cutover and rollback, as far as they touch registrations."""

from collections.abc import Iterator

from tests.model.core_state import slot
from tests.model.registration_state import ACTIVE, CREDENTIAL, GIVEN_UP, NONE, PENDING, File, Rules, World
from tests.model.search import OPERATOR, PLAIN, Step


def coordinator_steps(world: World, k: int, coordinator: tuple, rules: Rules) -> Iterator[Step]:
    """The next step of one coordinator."""
    file = world.file

    def to(action: str, text: str, rest: tuple, after: World = world, kind: int = PLAIN) -> Step:
        return kind, action, text, after._replace(coordinators=slot(world.coordinators, k, rest))

    if not coordinator:
        if world.changes and not file.epoch & 1 and not file.locked:
            locked = world._replace(file=file._replace(locked=True))
            yield to("cutover.lock", f"epoch {file.epoch}", ("drain_user", file.epoch), locked, OPERATOR)
        if world.changes and file.epoch & 1:
            yield to("rollback.start", f"epoch {file.epoch}", ("fence_user", file.epoch), world, OPERATOR)
    elif coordinator[0] in ("drain_user", "drain_auth", "commit"):
        yield from _cutover(world, coordinator, to)
    else:
        yield from _rollback(world, coordinator, rules, to)


def _cutover(world: World, coordinator: tuple, to) -> Iterator[Step]:
    file, users, auth = world.file, world.users, world.auth
    step, epoch = coordinator
    released = world._replace(file=file._replace(locked=False))
    new_row = file.behind[0] and file.row
    if step == "drain_user":
        if users.phase > 2 * epoch or (new_row and users.row and users.row != file.row):
            yield to("cutover.drain", "user_db refuses (email taken there, or another epoch)", (), released)
            return
        last = max(users.last_id, file.last_id)
        after = users._replace(phase=2 * epoch, last_id=last)
        if new_row:
            after = after._replace(row=file.row, status=ACTIVE)
        yield to("cutover.drain", "user_db", ("drain_auth", epoch), world._replace(
            users=after, file=file._replace(behind=(False, file.behind[1]))))  # fmt: skip
    elif step == "drain_auth":
        if auth.phase > 2 * epoch:
            yield to("cutover.drain", "auth_db is at another epoch", (), released)
            return
        after_auth = auth.having(file.row, CREDENTIAL) if file.behind[1] and file.row else auth
        yield to("cutover.drain", "auth_db", ("commit", epoch), world._replace(
            auth=after_auth._replace(phase=2 * epoch), file=file._replace(behind=(file.behind[0], False))))  # fmt: skip
    else:
        yield to("cutover.commit", f"epoch {epoch + 1}", (), world._replace(
            file=file._replace(epoch=epoch + 1, locked=False), changes=max(world.changes - 1, 0)))  # fmt: skip


def _rollback(world: World, coordinator: tuple, rules: Rules, to) -> Iterator[Step]:
    step, epoch = coordinator[:2]
    users, auth, fenced = world.users, world.auth, 2 * coordinator[1] + 1
    if step == "fence_user":
        if users.phase <= fenced:
            yield to(
                "rollback.fence",
                "user_db",
                ("fence_auth", epoch),
                world._replace(users=users._replace(phase=fenced)),
            )
        else:
            yield to("rollback.fence", "gives up", ())
    elif step == "fence_auth":
        if auth.phase <= fenced:
            rest = ("look" if rules.settles else "back_commit", epoch)
            yield to("rollback.fence", "auth_db", rest, world._replace(auth=auth._replace(phase=fenced)))
        else:
            yield to("rollback.fence", "gives up", ())
    elif step in ("look", "ask", "settle"):
        yield from _settle(world, coordinator, rules, to)
    elif not world.file.locked:
        yield from _commit(world, epoch, rules, to)


def _settle(world: World, coordinator: tuple, rules: Rules, to) -> Iterator[Step]:
    step, epoch = coordinator[:2]
    users, auth, fenced = world.users, world.auth, 2 * coordinator[1] + 1
    if (auth if step == "ask" else users).phase != fenced:
        yield to("rollback.settle", "gives up", ())
    elif step == "look":
        pending = users.row and users.status == PENDING
        yield to(
            "rollback.settle",
            "looks for pending rows",
            ("ask", epoch, users.row) if pending else ("back_commit", epoch),
        )
    elif step == "ask":
        user = coordinator[2]
        if auth.of(user) == CREDENTIAL:
            yield to("rollback.settle", f"credential {user} is there", ("settle", epoch, user, True))
        else:
            after = world._replace(auth=auth.having(user, GIVEN_UP)) if rules.marks else world
            yield to("rollback.settle", f"gives {user} up", ("settle", epoch, user, False), after)
    else:
        _, _, user, credential = coordinator
        after_users = users
        if users.row == user and users.status == PENDING:
            after_users = users._replace(status=ACTIVE) if credential else users._replace(row=0, status=NONE)
        yield to("rollback.settle", f"row {user}", ("back_commit", epoch), world._replace(users=after_users))


def _commit(world: World, epoch: int, rules: Rules, to) -> Iterator[Step]:
    file, users, auth = world.file, world.users, world.auth
    if file.epoch != epoch or users.phase != 2 * epoch + 1 or auth.phase != 2 * epoch + 1:
        yield to("rollback.commit", "another epoch: gives up", ())
    elif rules.settles and rules.looks_again and users.status == PENDING:
        yield to("rollback.commit", "a row is pending again", ("look", epoch))
    else:
        row = users.row if users.row and (users.status == ACTIVE or rules.drains == "any") else 0
        last = max(file.last_id, users.last_id) if rules.ids_go_on else file.last_id
        yield to("rollback.commit", f"user {row}, epoch {epoch + 1}", (), world._replace(
            file=File(epoch + 1, False, row, last, (False, False)), changes=max(world.changes - 1, 0)))  # fmt: skip
