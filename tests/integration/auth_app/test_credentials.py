"""The credential of a registration is stored or given up, once, and only where PostgreSQL is the truth."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bcrypt
import pytest

from devstack.postgres import Postgres
from migration.capture import install
from service_kit.truth.legacy_file import LegacyFile
from service_kit.truth.phase import follow
from tests.integration.auth_app.conftest import Make
from tests.integration.auth_app.support import NO_TEXTS, PASSWORD, AuthService, bcrypt_hash

HASH = bcrypt_hash()


@pytest.fixture
def auth(make_service: Make) -> AuthService:
    """The service in PostgreSQL alone."""
    return make_service("database")


def put(auth: AuthService, user_id: int, stored: Any = HASH) -> tuple[int, Any]:
    answer = auth.internal("PUT", f"/internal/credentials/{user_id}", {"hash": stored})
    return answer.status_code, answer.get_json()


def settle(auth: AuthService, user_id: int) -> tuple[int, Any]:
    answer = auth.internal("POST", f"/internal/credentials/{user_id}/settle")
    return answer.status_code, answer.get_json()


def credentials(auth: AuthService) -> list[Any]:
    return auth.rows("SELECT user_id, password_hash, salt FROM user_credentials ORDER BY user_id")


def test_a_credential_is_stored_once_and_a_repetition_changes_nothing(auth: AuthService) -> None:
    assert put(auth, 5) == (201, {"credential": True})
    assert put(auth, 5) == (200, {"credential": True})
    assert put(auth, 5, bcrypt_hash("another")) == (200, {"credential": True})
    assert credentials(auth) == [(5, HASH, HASH[:29])]


def test_ids_of_64_bits_of_either_sign_are_taken_exactly(auth: AuthService) -> None:
    ids = [-(2**63), -1, 0, 2**53 + 1, 2**63 - 1]
    for user_id in ids:
        assert put(auth, user_id)[0] == 201
        assert auth.open_session(user_id)
    assert [row[0] for row in credentials(auth)] == ids
    assert [row[0] for row in auth.rows("SELECT user_id FROM sessions ORDER BY user_id")] == ids


def test_what_is_given_up_is_never_stored(auth: AuthService) -> None:
    for _ in range(2):
        assert settle(auth, 5) == (200, {"credential": False})
    status, body = put(auth, 5)
    assert (status, body["code"]) == (409, "given_up")
    assert credentials(auth) == []


def test_what_is_stored_is_never_given_up(auth: AuthService) -> None:
    put(auth, 5)
    for _ in range(2):
        assert settle(auth, 5) == (200, {"credential": True})
    assert auth.rows("SELECT * FROM credentials_given_up") == []


def test_storing_and_giving_up_at_the_same_moment_have_one_winner(auth: AuthService) -> None:
    for user_id in range(1, 21):
        with ThreadPoolExecutor(2) as threads:
            stored, settled = threads.submit(put, auth, user_id), threads.submit(settle, auth, user_id)
        there = settled.result()[1]["credential"]
        assert stored.result()[0] == (201 if there else 409)
    held = {row[0] for row in credentials(auth)}
    given_up = {row[0] for row in auth.rows("SELECT user_id FROM credentials_given_up")}
    assert held | given_up == set(range(1, 21))
    assert not held & given_up


@pytest.mark.parametrize("captured", [False, True])
def test_while_the_file_is_the_truth_nothing_is_stored_and_the_answer_says_what_there_is(
    make_service: Make, captured: bool
) -> None:
    auth = make_service("file")
    assert auth.legacy is not None
    if captured:
        install(LegacyFile(auth.legacy.path))
    auth.rows(
        "SET LOCAL migration.applying = 'on';"
        "INSERT INTO user_credentials (user_id, password_hash) VALUES (5, %s) RETURNING 1",
        HASH,
    )
    for user_id in (5, 6):
        for status, body in (put(auth, user_id), settle(auth, user_id)):
            assert (status, body["code"], body["credential"]) == (409, "wrong_side", user_id == 5)
    assert len(credentials(auth)) == 1
    assert auth.rows("SELECT * FROM credentials_given_up") == []


def test_a_fenced_database_without_its_file_takes_no_credential(make_service: Make) -> None:
    auth = make_service("database")
    follow(auth.engine, 2)
    assert put(auth, 5)[0] == 503
    assert credentials(auth) == []


def test_a_hash_is_made_of_any_password_and_lets_it_in(auth: AuthService) -> None:
    for password in (PASSWORD, "x" * 200_000, "ab\0cd", "\ud800", "😀"):
        answer = auth.internal("POST", "/internal/password-hashes", {"password": password})
        counted = password.encode("utf-8", "surrogatepass")[:72]
        assert bcrypt.checkpw(counted, answer.get_json()["hash"].encode())


def test_mistakes_of_a_caller_are_told_as_such(auth: AuthService) -> None:
    for value in NO_TEXTS:
        given = {} if value is ... else {"password": value, "hash": value}
        if value != "":
            assert auth.internal("POST", "/internal/password-hashes", given).status_code == 400
        assert auth.internal("PUT", "/internal/credentials/5", given).status_code == 400
    session = {"user_id": 5, "email": "a@example.com", "ip": "", "user_agent": ""}
    for field in session:
        for value in (None, True, [], {}, 5.5, "5" if field == "user_id" else 5, 2**63):
            assert auth.internal("POST", "/internal/sessions", session | {field: value}).status_code == 400
    for path in (f"/internal/credentials/{2**63}", f"/internal/credentials/{10**400}"):
        assert auth.internal("PUT", path, {"hash": HASH}).status_code == 400
    for path in ("/internal/credentials/x", "/internal/credentials/", "/internal/credentials/1.5"):
        assert auth.internal("PUT", path, {"hash": HASH}).status_code == 404
    assert auth.internal("GET", "/internal/credentials/5").status_code == 405


def test_an_outage_of_the_database_is_told_as_such_and_passes(auth: AuthService, postgres: Postgres) -> None:
    postgres.stop()
    try:
        assert (put(auth, 5)[0], settle(auth, 5)[0]) == (503, 503)
    finally:
        postgres.start()
    assert put(auth, 5)[0] == 201
