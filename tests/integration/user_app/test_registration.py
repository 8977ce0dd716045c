"""Registration on either side of the migration: whole, once per address, with the legacy answers."""

import threading

from tests.integration.user_app.support import UserService


def test_a_registered_user_is_whole(users: UserService) -> None:
    answer = users.register("Ann.Lee@Example.com")
    body = answer.get_json()
    assert answer.status_code == 201
    assert list(body) == ["success", "message", "token", "user"]
    assert (body["success"], body["message"]) == (True, "User registered successfully")
    assert body["token"].count(".") == 2
    user_id = body["user"]["id"]
    assert body["user"] == {"id": user_id, "email": "ann.lee@example.com", "name": "Ann Lee"}
    assert users.look_up("ann.lee@example.com").get_json() == body["user"]
    if users.legacy:
        stored = users.legacy.run("SELECT id, email, name, substr(password, 1, 4) FROM users")
        assert stored == [(user_id, "ann.lee@example.com", "Ann Lee", "$2b$")]
        assert users.rows("SELECT id FROM users") == []
    else:
        assert users.rows("SELECT id, status, pending_since FROM users") == [(user_id, "active", None)]
        with users.auth_engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT user_id FROM user_credentials").scalars().all() == [
                user_id
            ]


def test_a_registration_in_postgresql_tells_of_itself(users: UserService) -> None:
    user_id = users.new_user("ann@example.com")
    told = [("user.registered", {"user_id": user_id, "email": "ann@example.com", "name": "Ann Lee"})]
    assert users.events() == ([] if users.legacy else told)


def test_an_address_registers_once_in_any_spelling(users: UserService) -> None:
    users.new_user("gina@gmail.com")
    for spelling in ("gina@gmail.com", "GINA@gmail.com", "g.i.n.a+news@googlemail.com"):
        answer = users.register(spelling)
        assert (answer.status_code, answer.get_json()) == (
            400,
            {"success": False, "message": "User already exists"},
        )


def test_two_registrations_of_one_address_at_once_give_one_user(users: UserService) -> None:
    for number in range(5):
        together = threading.Barrier(4)
        statuses: list[int] = []

        def register(together: threading.Barrier, statuses: list[int], number: int) -> None:
            together.wait()
            statuses.append(users.register(f"u{number}@example.com").status_code)

        threads = [threading.Thread(target=register, args=(together, statuses, number)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [201, 400, 400, 400]


def test_a_name_is_trimmed_and_a_number_is_its_text(users: UserService) -> None:
    def stored_name(email: str, name: object) -> object:
        return users.register(email, name).get_json()["user"]["name"]

    assert stored_name("a@example.com", "\ufeff Ann  Lee\u2003") == "Ann  Lee"
    assert stored_name("b@example.com", 42) == "42"
    assert stored_name("c@example.com", 1.5) == "1.5"
    answer = users.call("POST", "/api/register", {"email": "d@example.com", "password": "secret12"})
    assert answer.get_json()["user"]["name"] is None
