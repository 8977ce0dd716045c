"""The state of the registration model: clients that all want one and the same email, while the truth moves.

In the file a registration is one transaction. In PostgreSQL: (1) user_db takes a new id, the row pending; (2) auth_db
takes the credential, unless the id was given up: the commit point; (3) user_db makes the row active.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from tests.model.core_state import put as replaced

NONE, PENDING, ACTIVE = range(3)
UNKNOWN, CREDENTIAL, GIVEN_UP = range(3)
START, PUT, ACTIVATE, GONE, CREATED, CONFLICT = range(6)  # what a client does next, or what it was told


@dataclass(frozen=True)
class Rules:
    """The first value is the one that is built."""

    settles: bool = True  # rollback settles pending rows between the fences and the last drain
    drains: Literal["active", "any"] = "active"  # which rows of user_db reach the file
    marks: bool = True  # giving an id up leaves a mark in auth_db, in the transaction that saw no credential
    order: Literal["pending", "active"] = "pending"  # the row is pending first | active at once
    ids_go_on: bool = True  # rollback moves sqlite_sequence past every id of user_db
    looks_again: bool = True  # rollback's last transaction checks that no row is pending


@dataclass(frozen=True)
class Bounds:
    """How large the instance is; `ids` is how many user ids there are to give."""

    clients: int = 2
    changes: int = 3
    crashes: int = 1
    ids: int = 4
    coordinators: int = 1


class File(NamedTuple):
    """`row`: the id that holds the email, or 0; `behind`: not drained to user_db, to auth_db."""

    epoch: int
    locked: bool
    row: int
    last_id: int
    behind: tuple[bool, bool]


class Users(NamedTuple):
    """user_db; `row` is the id that holds the email, or 0."""

    phase: int
    row: int
    status: int
    last_id: int


class Auth(NamedTuple):
    """auth_db; one of UNKNOWN, CREDENTIAL, GIVEN_UP for each id."""

    phase: int
    credentials: tuple[int, ...]

    def of(self, user: int) -> int:
        return self.credentials[user - 1]

    def having(self, user: int, what: int) -> "Auth":
        return self._replace(credentials=replaced(self.credentials, user - 1, what))


class World(NamedTuple):
    """Everything. A client is (step, id); the sweeper and the coordinators are () or (step, ...)."""

    file: File
    users: Users
    auth: Auth
    changes: int
    crashes: int
    clients: tuple
    sweeper: tuple
    coordinators: tuple


def initial(bounds: Bounds) -> World:
    """Nobody has the email, the file is the truth."""
    return World(
        File(0, False, 0, 0, (False, False)),
        Users(0, 0, NONE, 0),
        Auth(0, (UNKNOWN,) * bounds.ids),
        bounds.changes,
        bounds.crashes,
        ((START, 0),) * bounds.clients,
        (),
        ((),) * bounds.coordinators,
    )


def busy(world: World) -> bool:
    """Some process is between two steps."""
    going = any(step < GONE for step, _ in world.clients)
    return bool(world.file.locked or world.sweeper or any(world.coordinators) or going)


def broken(world: World, rules: Rules) -> str | None:
    """The promise that the state breaks."""
    file, users, auth = world.file, world.users, world.auth
    created = [user for step, user in world.clients if step == CREATED]
    if len(created) > 1:
        return "two clients were told that they own the email"
    accepts = users.phase % 4 == 2
    if accepts and users.row and users.status == ACTIVE and auth.of(users.row) != CREDENTIAL:
        return f"half a user: row {users.row} is active without a credential"
    for user in created:
        if not file.epoch & 1 and file.row != user:
            return f"lost write: user {user} was acknowledged, the file has {file.row}"
        if accepts and (users.row, users.status) != (user, ACTIVE):
            return f"lost write: user {user} was acknowledged, user_db has not got it"
    phantom = file.row and not file.behind[0] and file.row not in created
    if not file.epoch & 1 and phantom and rules.drains == "any" and auth.of(file.row) != CREDENTIAL:
        return f"resurrected: the file has user {file.row}, who has no credential"
    if busy(world) or not users.phase == auth.phase == 2 * file.epoch:
        return None
    return _broken_at_rest(file, users, auth)


def _broken_at_rest(file: File, users: Users, auth: Auth) -> str | None:
    owned = [user + 1 for user, what in enumerate(auth.credentials) if what == CREDENTIAL]
    if file.epoch & 1:
        active = (users.row,) if users.status == ACTIVE else ()
        if users.status != PENDING and any(user not in active for user in owned):
            return "half a user: a credential without a row"
    elif not any(file.behind):
        if users.row != file.row or (file.row and (users.status != ACTIVE or file.row not in owned)):
            return f"resurrected: user_db has row {users.row}, the file {file.row}"
        if any(user != file.row for user in owned):
            return "half a user: a credential without a row"
    return None


def quiet(world: World) -> bool:
    """At rest, every database at the file's epoch, nobody pending."""
    file, users = world.file, world.users
    level = users.phase == world.auth.phase == 2 * file.epoch
    return not busy(world) and level and not (users.row and users.status == PENDING)
