"""Registrations that were left half done: whole or gone, in the order that no late credential can undo."""

import threading
import uuid

import bcrypt
import pytest

from service_kit.errors import Unavailable
from tests.integration.user_app.conftest import Make
from tests.integration.user_app.support import UserService
from tests.support.waiting import wait_until
from user_app.sweeper import Sweeper
from user_app.use_cases.settling import Settling

HASH = bcrypt.hashpw(b"secret12", bcrypt.gensalt(4)).decode()
OLD = "clock_timestamp() - interval '1 minute'"


@pytest.fixture
def users(make_service: Make) -> UserService:
    """Pending rows exist in PostgreSQL only."""
    return make_service("database")


def add_pending(users: UserService, email: str, since: str = OLD, credential: bool = False) -> int:
    """A registration that stopped after its row, or after its credential."""
    users.call("GET", "/readyz")  # a fresh database is adopted by its first use
    with users.engine.begin() as connection:
        user_id = connection.exec_driver_sql(
            "INSERT INTO users (email, name, status, pending_since)"
            f" VALUES (%s, 'Ann Lee', 'pending', {since}) RETURNING id",
            (email,),
        ).scalar_one()
    if credential:
        put_credential(users, user_id)
    return int(user_id)


def put_credential(users: UserService, user_id: int) -> bool:
    """What a registration does second, however late."""
    return users.accounts.put_credential(user_id, HASH)


def settling(users: UserService) -> Settling:
    return users.service.sweeper.settling


def state(users: UserService) -> list[tuple[str, str]]:
    return [tuple(row) for row in users.rows("SELECT email, status FROM users ORDER BY id")]


def test_a_pending_user_is_invisible(users: UserService) -> None:
    user_id = add_pending(users, "ann@example.com", "clock_timestamp()")
    assert users.look_up("ann@example.com").status_code == 404
    assert users.call("GET", "/api/profile", user_id=user_id).status_code == 404
    assert users.call("PUT", "/api/profile", {"name": "New"}, user_id).status_code == 404


def test_with_a_credential_it_becomes_whole_without_one_it_goes(users: UserService) -> None:
    whole = add_pending(users, "whole@example.com", credential=True)
    add_pending(users, "lost@example.com")
    add_pending(users, "young@example.com", "clock_timestamp()")
    assert settling(users).sweep() == 2
    assert state(users) == [("whole@example.com", "active"), ("young@example.com", "pending")]
    told = {"user_id": whole, "email": "whole@example.com", "name": "Ann Lee"}
    assert users.events() == [("user.registered", told)]
    assert settling(users).sweep() == 0


def test_after_giving_up_a_late_credential_is_refused(users: UserService) -> None:
    user_id = add_pending(users, "ann@example.com")
    settling(users).sweep()
    assert put_credential(users, user_id) is False
    assert users.register("ann@example.com").status_code == 201


def test_a_new_registration_does_not_wait_for_the_sweeper(users: UserService) -> None:
    add_pending(users, "ann@example.com")
    answer = users.register("ann@example.com")
    assert answer.status_code == 201
    assert state(users) == [("ann@example.com", "active")]


def test_a_registration_that_only_lacked_its_last_step_keeps_its_address(users: UserService) -> None:
    add_pending(users, "ann@example.com", credential=True)
    assert users.register("ann@example.com").get_json() == {
        "success": False,
        "message": "User already exists",
    }
    assert state(users) == [("ann@example.com", "active")]


def test_somebody_elses_pending_address_cannot_be_taken_by_an_update(users: UserService) -> None:
    user_id = users.new_user("bob@example.com")
    add_pending(users, "ann@example.com", "clock_timestamp()")
    answer = users.call("PUT", "/api/profile", {"email": "ann@example.com"}, user_id)
    assert (answer.status_code, answer.get_json()["message"]) == (400, "Email already taken by another user")


def test_a_registration_whose_row_was_settled_meanwhile_starts_again(users: UserService) -> None:
    """The stopped one wakes up after somebody else gave it up: its own address is free for it."""
    user_id = add_pending(users, "ann@example.com")
    settling(users).settle(user_id)
    assert state(users) == []
    assert users.new_user("ann@example.com") > user_id


def test_settling_from_many_places_at_once_settles_once(users: UserService) -> None:
    ids = [
        add_pending(users, f"{uuid.uuid4()}@example.com", credential=number % 2 == 0) for number in range(6)
    ]
    threads = [
        threading.Thread(target=settling(users).settle, args=(each,)) for each in ids for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [status for _, status in state(users)] == ["active"] * 3
    assert len(users.events()) == 3


def test_the_sweeper_goes_on_after_the_auth_service_was_away(make_service: Make, users: UserService) -> None:
    alone = make_service("database", auth_service_urls="http://127.0.0.1:9")
    add_pending(users, "ann@example.com")
    with pytest.raises(Unavailable):
        settling(alone).sweep()
    assert state(users) == [("ann@example.com", "pending")]
    sweeper = Sweeper(settling(users), period=0.01)
    sweeper.start()
    wait_until(lambda: state(users) == [], what="the sweep")
    sweeper.stop()
