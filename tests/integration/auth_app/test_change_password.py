"""A password change keeps the presented session, ends every other one, and happens once; on both sides."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from auth_app import consumers
from auth_app.passwords import salt_of
from devstack.postgres import Postgres
from devstack.redis import Redis as RedisServer
from migration.capture import install
from service_kit.events.envelope import Event
from service_kit.ids import uuid7
from service_kit.truth.legacy_file import LegacyFile
from tests.integration.auth_app.conftest import Make
from tests.integration.auth_app.support import (
    KEYS,
    NO_TEXTS,
    PASSWORD,
    AuthService,
    bcrypt_hash,
    legacy_token,
)

CHANGED = {"success": True, "message": "Password changed successfully"}
WRONG = {"success": False, "message": "Current password is incorrect"}


def stored_hash(auth: AuthService, user_id: int) -> str:
    if auth.legacy is not None:
        return str(auth.legacy.run("SELECT password FROM users WHERE id = ?", user_id)[0][0])
    return str(auth.rows("SELECT password_hash FROM user_credentials WHERE user_id = %s", user_id)[0][0])


def event(user_id: int, kept_token: str | None, at: float) -> Event:
    """A password change as its event tells it."""
    moment = datetime.fromtimestamp(at, UTC)
    data = {"user_id": user_id, "kept_token": kept_token}
    return Event(1, str(uuid7()), "user.password.changed", user_id, data, moment, "1.0", moment)


def hear(auth: AuthService, heard: Event) -> None:
    """The consumer's work on an event, and the keeper's after it."""
    with auth.engine.begin() as connection:
        consumers.end_other_sessions(connection, heard)
    auth.keeper.round()


def test_the_presented_session_stays_and_every_other_one_ends_at_once(auth: AuthService) -> None:
    user_id = auth.add_user()
    here, there, legacy = auth.open_session(user_id), auth.open_session(user_id), legacy_token(user_id)
    continued = auth.open_session(user_id, token_id=KEYS.verify(here).token_id)
    another = auth.open_session(user_id + 1)
    answer = auth.change_password(here)
    assert (answer.status_code, answer.get_json()) == (200, CHANGED)
    assert [auth.verdict(token) for token in (here, continued, another)] == ["good"] * 3
    assert [auth.verdict(token) for token in (there, legacy)] == ["revoked"] * 2
    assert [session["current"] for session in auth.listed(here)] == [True]
    assert auth.verdict(auth.open_session(user_id)) == "good"


def test_a_legacy_token_may_change_the_password_and_stays(auth: AuthService) -> None:
    user_id = auth.add_user()
    here, there, other = legacy_token(user_id), legacy_token(user_id, age=99), auth.open_session(user_id)
    assert auth.change_password(here).status_code == 200
    assert [auth.verdict(token) for token in (here, there, other)] == ["good", "revoked", "revoked"]


def test_the_new_hash_is_stored_with_its_salt_and_only_the_new_password_matches(auth: AuthService) -> None:
    user_id = auth.add_user()
    old = stored_hash(auth, user_id)
    token = auth.open_session(user_id)
    assert auth.change_password(token).status_code == 200
    new = stored_hash(auth, user_id)
    assert new != old
    assert auth.change_password(token).get_json() == WRONG
    assert stored_hash(auth, user_id) == new
    assert auth.change_password(token, "secret99", "x" * 100).status_code == 200
    assert auth.change_password(token, "x" * 72 + "tail", "tab\there\0\ud800").status_code == 200
    assert auth.change_password(token, "tab\there\0\ud800", PASSWORD).status_code == 200
    if auth.legacy is None:
        hashed, salt = auth.rows("SELECT password_hash, salt FROM user_credentials")[0]
        assert salt == salt_of(hashed)


def test_changes_in_a_row_never_end_the_session_that_makes_them(auth: AuthService) -> None:
    user_id = auth.add_user()
    token, passwords = auth.open_session(user_id), [PASSWORD, *(f"secret-{number}" for number in range(4))]
    for current, new in itertools.pairwise(passwords):
        assert auth.change_password(token, current, new).status_code == 200
        assert auth.verdict(token) == "good"


def test_of_many_changes_at_once_with_one_current_password_exactly_one_happens(auth: AuthService) -> None:
    user_id = auth.add_user()
    tokens = [auth.open_session(user_id) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(lambda n: auth.change_password(tokens[n], PASSWORD, f"secret-{n}"), range(8))
        )
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7
    winner = next(n for n, answer in enumerate(answers) if answer.status_code == 200)
    assert [auth.verdict(token) for token in tokens].index("good") == winner
    assert [auth.verdict(token) for token in tokens].count("good") == 1
    assert auth.change_password(tokens[winner], f"secret-{winner}", PASSWORD).status_code == 200


def test_a_user_that_is_gone_is_not_found(auth: AuthService) -> None:
    answer = auth.change_password(auth.open_session(77))
    assert (answer.status_code, answer.get_json()) == (404, {"success": False, "message": "User not found"})


def test_a_stored_text_that_is_no_usable_hash_matches_no_password(auth: AuthService) -> None:
    user_id = auth.add_user()
    token = auth.open_session(user_id)
    for stored in ("", "plain", "$2b$31$" + "." * 53, "md5:5f4dcc3b5aa765d61d8327deb882cf99"):
        if auth.legacy is not None:
            auth.legacy.run("UPDATE users SET password = ?", stored)
        else:
            change = "SET LOCAL migration.applying = 'on'; UPDATE user_credentials SET password_hash = %s RETURNING 1"
            auth.rows(change, stored)
        assert auth.change_password(token).get_json() == WRONG


def test_a_password_that_is_no_text_is_refused_in_the_old_form(auth: AuthService) -> None:
    token = auth.open_session(auth.add_user())
    for field in ("currentPassword", "newPassword"):
        for value in NO_TEXTS:
            body = {"currentPassword": PASSWORD, "newPassword": "secret99", field: value}
            given = {name: item for name, item in body.items() if item is not ...}
            answer = auth.public("PUT", "/api/change-password", given, token)
            assert (answer.status_code, answer.get_json()["message"]) == (400, "Validation failed")
            assert {error["path"] for error in answer.get_json()["errors"]} == {field}


def test_the_event_names_the_kept_token_and_the_moment_of_the_cutoff(make_service: Make) -> None:
    auth = make_service("database")
    auth.add_user()
    token = auth.open_session(1)
    auth.change_password(token)
    data, at = auth.rows("SELECT data, occurred_at FROM events WHERE type = 'user.password.changed'")[0]
    assert data == {"user_id": 1, "kept_token": KEYS.verify(token).token_id}
    assert auth.rows("SELECT cutoff_ms FROM user_cutoffs") == [(round(at.timestamp() * 1000),)]


def test_a_change_in_a_captured_file_names_the_kept_token_in_its_log(make_service: Make) -> None:
    auth = make_service("file")
    assert auth.legacy is not None
    install(LegacyFile(auth.legacy.path))
    user_id = auth.add_user()
    token = auth.open_session(user_id)
    auth.change_password(token)
    token_id = KEYS.verify(token).token_id
    assert (user_id, token_id) in auth.legacy.run("SELECT key, kept_token FROM migration_log")


def test_hearing_of_a_change_that_the_request_dealt_with_changes_nothing(auth: AuthService) -> None:
    user_id = auth.add_user()
    here, there = auth.open_session(user_id), auth.open_session(user_id)
    before = time.time()
    auth.change_password(here)
    later = auth.open_session(user_id)
    cutoffs = auth.rows("SELECT * FROM user_cutoffs")
    told = event(user_id, KEYS.verify(here).token_id, before)
    for _ in range(2):
        hear(auth, told)
    assert [auth.verdict(token) for token in (here, there, later)] == ["good", "revoked", "good"]
    assert auth.rows("SELECT user_id, cutoff_ms, kept FROM user_cutoffs") == [cutoffs[0][:3]]


def test_the_event_of_a_change_that_no_request_dealt_with_ends_older_sessions_only(auth: AuthService) -> None:
    for kept in (True, False):
        user_id = auth.add_user(f"kept-{kept}@example.com", user_id=5 + kept)
        here, there, legacy = auth.open_session(user_id), auth.open_session(user_id), legacy_token(user_id)
        continued = auth.open_session(user_id, token_id=KEYS.verify(here).token_id)
        changed = time.time()
        time.sleep(0.002)
        later = auth.open_session(user_id)
        told = event(user_id, KEYS.verify(here).token_id if kept else None, changed)
        for _ in range(2):
            hear(auth, told)
        assert [auth.verdict(token) for token in (there, legacy, later)] == ["revoked", "revoked", "good"]
        assert [auth.verdict(token) for token in (here, continued)] == ["good" if kept else "revoked"] * 2
        assert len(auth.listed(later)) == 1 + kept


def test_an_old_event_does_not_bring_back_what_a_later_logout_ended(auth: AuthService) -> None:
    user_id = auth.add_user()
    here = auth.open_session(user_id)
    changed = time.time()
    auth.public("POST", "/api/logout", {"scope": "all"}, here)
    hear(auth, event(user_id, KEYS.verify(here).token_id, changed))
    assert auth.verdict(here) == "revoked"


def test_a_later_change_does_not_bring_back_a_token_that_was_ended_before_it(auth: AuthService) -> None:
    user_id = auth.add_user()
    stolen, mine = auth.open_session(user_id), auth.open_session(user_id)
    auth.public("POST", "/api/logout", {"scope": "all"}, mine)
    # The gateway let this request through a moment before the logout.
    answer = auth.change_password(stolen)
    assert answer.status_code == (200 if auth.legacy else 403)
    assert auth.verdict(stolen) == "revoked"


def test_with_the_file_as_truth_a_change_works_without_auth_db_and_follows_later(
    make_service: Make, postgres: Postgres
) -> None:
    auth = make_service("file")
    auth.keeper.round()
    user_id = auth.add_user()
    here, there, legacy = auth.open_session(user_id), auth.open_session(user_id), legacy_token(user_id)
    changed = time.time()
    postgres.stop()
    try:
        assert auth.change_password(here).get_json() == CHANGED
        assert [auth.verdict(token) for token in (here, there, legacy)] == ["good", "revoked", "revoked"]
    finally:
        postgres.start()
    auth.engine.dispose()
    hear(auth, event(user_id, KEYS.verify(here).token_id, changed))
    assert [auth.verdict(token) for token in (here, there, legacy)] == ["good", "revoked", "revoked"]
    assert len(auth.listed(here)) == 1


def test_without_redis_a_change_is_made_and_takes_effect_when_redis_is_back(
    auth: AuthService, running_again: RedisServer
) -> None:
    user_id = auth.add_user()
    here, there = auth.open_session(user_id), auth.open_session(user_id)
    running_again.kill()
    assert auth.change_password(here).get_json() == CHANGED
    running_again.start()
    auth.keeper.round()
    assert (auth.verdict(here), auth.verdict(there)) == ("good", "revoked")


def test_the_legacy_server_reads_the_hash_that_was_written(make_service: Make) -> None:
    auth = make_service("file")
    user_id = auth.add_user()
    auth.change_password(auth.open_session(user_id))
    assert len(stored_hash(auth, user_id)) == len(bcrypt_hash()) == 60
    assert stored_hash(auth, user_id).startswith(("$2a$", "$2b$"))
