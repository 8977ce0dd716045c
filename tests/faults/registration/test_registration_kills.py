"""After a kill of either service at any step of a registration a user exists wholly or not at all."""

import pytest

from tests.faults.registration.conftest import AUTH, USER, Make, Services

IN_POSTGRESQL = [
    (USER, "registration.hashed", "absent"),
    (USER, "truth.write.before_database_commit", "absent"),
    (USER, "truth.write.database_committed", "absent"),
    (USER, "registration.pending", "absent"),
    (AUTH, "truth.write.before_database_commit", "absent"),
    (AUTH, "truth.write.database_committed", "whole"),
    (USER, "registration.credential_put", "whole"),
    (USER, "registration.activated", "whole"),
]
IN_THE_FILE = [
    (USER, "registration.hashed", "absent"),
    (USER, "truth.write.before_file_commit", "absent"),
    (USER, "truth.write.file_committed", "whole"),
]


def assert_fates(services: Services, steps: list[tuple[str, str, str]]) -> None:
    for number, (role, point, fate) in enumerate(steps):
        email = f"ann{number}@example.com"
        trap = services.traps.kill_at(role, point)
        status = services.register(email)
        assert trap.sprung.wait(5), point
        assert status in (0, 503), point
        assert services.fate(email) == fate, point
        again = services.register(email)
        assert again == (201 if fate == "absent" else 400), point
        assert services.fate(email) == "whole"


def test_killed_at_each_step_in_postgresql(make_services: Make) -> None:
    assert_fates(make_services(), IN_POSTGRESQL)


def test_killed_at_each_step_in_the_legacy_file(make_services: Make) -> None:
    assert_fates(make_services(legacy=True), IN_THE_FILE)


@pytest.mark.parametrize(
    ("point", "fate"), [("registration.pending", "absent"), ("registration.credential_put", "whole")]
)
@pytest.mark.parametrize("second", ["settle.asked", "settle.done"])
def test_killed_again_while_it_is_settled(make_services: Make, point: str, fate: str, second: str) -> None:
    services = make_services()
    services.traps.kill_at(USER, point)
    again = services.traps.kill_at(USER, second)
    assert services.register("ann@example.com") == 0
    assert again.sprung.wait(30)
    assert services.fate("ann@example.com") == fate


def test_both_services_killed_at_once(make_services: Make) -> None:
    services = make_services()
    for number, point in enumerate(("registration.pending", "registration.credential_put")):
        email = f"ann{number}@example.com"
        held = services.traps.hold_at(USER, point)
        under_way = services.begin(email)
        assert held.sprung.wait(30)
        services.user.kill()
        services.auth.kill()
        assert under_way.status == 0
        services.auth.start()
        services.user.start()
        assert services.fate(email) == ("absent" if number == 0 else "whole")


def test_a_stalled_registration_is_given_up_and_then_starts_again(make_services: Make) -> None:
    services = make_services()
    held = services.traps.hold_at(USER, "registration.pending")
    settled = services.traps.hold_at(USER, "settle.done")
    settled.release.set()
    stalled = services.begin("ann@example.com")
    assert held.sprung.wait(30)
    assert settled.sprung.wait(30)
    held.release.set()
    assert stalled.status == 201
    assert services.fate("ann@example.com") == "whole"


def test_of_a_stalled_registration_and_a_newer_one_exactly_one_wins(make_services: Make) -> None:
    services = make_services()
    held = services.traps.hold_at(USER, "registration.pending")
    stalled = services.begin("ann@example.com")
    assert held.sprung.wait(30)
    assert services.register("ann@example.com") == 201
    held.release.set()
    assert stalled.status == 400
    assert services.fate("ann@example.com") == "whole"


def test_a_registration_stalled_behind_its_commit_point_keeps_its_user(make_services: Make) -> None:
    services = make_services()
    held = services.traps.hold_at(USER, "registration.credential_put")
    stalled = services.begin("ann@example.com")
    assert held.sprung.wait(30)
    assert services.register("ann@example.com") == 400
    held.release.set()
    assert stalled.status == 201
    assert services.fate("ann@example.com") == "whole"
