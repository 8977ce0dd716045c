"""What Redis says of revoked tokens is whole or not ready; no order of loss, rebuild and logout lets one back in."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import psutil
import pytest
from redis import Redis
from redis import Redis as Client

from auth_app.domain import moment
from auth_app.mirror import MARGIN_SECONDS, RevocationMirror, connect
from auth_app.repository import expiry, revocations
from auth_app.repository.revocations import RevokedToken, Row, UserCutoff
from devstack.redis import Redis as RedisServer
from service_kit.revocation import Cutoff, token_key, user_key
from tests.integration.auth_app.conftest import Make
from tests.integration.auth_app.support import KEYS, AuthService, legacy_token
from tests.support.waiting import wait_until

FAR = 4_000_000_000


@pytest.fixture
def auth(make_service: Make) -> AuthService:
    """The service with Redis filled; the side does not matter here."""
    service = make_service("database")
    service.keeper.round()
    return service


@pytest.fixture
def redis(redis_url: str) -> Iterator[Client]:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def mirror(redis_url: str) -> RevocationMirror:
    return RevocationMirror(connect(redis_url, 2))


def ended(auth: AuthService, scope: str = "session") -> str:
    """A token that was logged out."""
    token = auth.open_session(1)
    assert auth.public("POST", "/api/logout", {"scope": scope}, token).status_code == 200
    return token


def all_of(auth: AuthService, then: Callable[[], object] = lambda: None):  # type: ignore[no-untyped-def]
    """How the keeper reads auth_db, with something happening after it has read everything."""

    @contextmanager
    def read() -> Iterator[Iterable[Iterable[Row]]]:
        with auth.engine.begin() as connection:
            batches = list(revocations.live(connection))
        then()
        yield batches

    return read


def test_an_empty_redis_is_not_ready_until_it_was_filled(make_service: Make) -> None:
    auth = make_service("database")
    token = auth.open_session(1)
    assert auth.verdict(token) == "unknown"
    auth.keeper.round()
    assert auth.verdict(token) == "good"


def test_a_redis_that_lost_everything_is_filled_with_every_revocation(
    auth: AuthService, redis: Client
) -> None:
    tokens = [ended(auth), ended(auth, "all"), legacy_token(1)]
    good = auth.open_session(1)
    redis.flushall()
    assert [auth.verdict(token) for token in [*tokens, good]] == ["unknown"] * 4
    auth.keeper.round()
    assert [auth.verdict(token) for token in [*tokens, good]] == ["revoked"] * 3 + ["good"]


def test_a_redis_that_restarts_empty_is_filled_within_about_a_second(
    auth: AuthService, running_again: RedisServer
) -> None:
    token = ended(auth)
    auth.keeper.start()
    running_again.kill()
    running_again.start()
    seen = wait_until(
        lambda: [auth.verdict(token)] if auth.verdict(token) != "unknown" else None, 3, "filling"
    )
    assert seen == ["revoked"]
    auth.keeper.stop()


def test_a_logout_behind_the_reading_of_a_rebuild_is_not_lost_by_it(
    auth: AuthService, mirror: RevocationMirror
) -> None:
    tokens: list[str] = []
    assert mirror.fill(all_of(auth, then=lambda: tokens.append(ended(auth))))
    assert auth.verdict(tokens[0]) == "revoked"


def test_a_redis_that_loses_a_logout_during_a_rebuild_is_not_declared_ready(
    auth: AuthService, mirror: RevocationMirror, redis: Client
) -> None:
    tokens: list[str] = []

    def logout_and_loss() -> None:
        tokens.append(ended(auth))
        redis.flushall()

    assert not mirror.fill(all_of(auth, then=logout_and_loss))
    assert auth.verdict(tokens[0]) == "unknown"
    auth.keeper.round()
    assert auth.verdict(tokens[0]) == "revoked"


def test_a_redis_that_restarts_during_a_rebuild_is_not_declared_ready(
    auth: AuthService, mirror: RevocationMirror, running_again: RedisServer
) -> None:
    tokens: list[str] = []

    def logout_and_restart() -> None:
        tokens.append(ended(auth))
        running_again.kill()
        running_again.start()

    assert not mirror.fill(all_of(auth, then=logout_and_restart))
    assert auth.verdict(tokens[0]) == "unknown"


def test_a_redis_that_comes_back_with_an_old_dump_is_filled_again(
    auth: AuthService, redis: Client, running_again: RedisServer
) -> None:
    token = auth.open_session(1)
    redis.save()
    try:
        assert auth.public("POST", "/api/logout", token=token).status_code == 200
        auth.keeper.round()
        running_again.kill()
        running_again.start()
        assert auth.verdict(token) == "good", "the dump must be older than the logout, or this proves nothing"
        auth.keeper.round()
        assert auth.verdict(token) == "revoked"
    finally:
        (running_again.home / "data" / "dump.rdb").unlink()


def test_two_rebuilds_at_once_both_succeed(
    auth: AuthService, mirror: RevocationMirror, redis: Client
) -> None:
    token = ended(auth)
    redis.flushall()
    inner: list[bool] = []
    assert mirror.fill(all_of(auth, then=lambda: inner.append(mirror.fill(all_of(auth)))))
    assert inner == [True]
    assert auth.verdict(token) == "revoked"


def test_a_revocation_whose_writer_died_before_telling_redis_is_told_by_the_keeper(auth: AuthService) -> None:
    single, all_ = auth.open_session(1), auth.open_session(2)
    token_id = KEYS.verify(single).token_id
    with auth.engine.begin() as connection:
        revocations.revoke(connection, 1, [RevokedToken(token_id, moment(FAR * 1000))])
        revocations.raise_cutoff(connection, 2, Cutoff(KEYS.verify(all_).issued_ms))
    assert (auth.verdict(single), auth.verdict(all_)) == ("good", "good")
    auth.keeper.round()
    assert (auth.verdict(single), auth.verdict(all_)) == ("revoked", "revoked")
    assert auth.rows("SELECT count(*) FROM revocations WHERE NOT published") == [(0,)]
    assert auth.rows("SELECT count(*) FROM user_cutoffs WHERE NOT published") == [(0,)]


def test_a_cutoff_that_moved_on_is_told_again(auth: AuthService) -> None:
    def untold() -> list[int]:
        rows = revocations.unpublished(connection)
        return [row.cutoff.cutoff_ms for row in rows if isinstance(row, UserCutoff)]

    with auth.engine.begin() as connection:
        revocations.raise_cutoff(connection, 1, Cutoff(1000))
        being_told = revocations.unpublished(connection)
        revocations.raise_cutoff(connection, 1, Cutoff(2000))
        revocations.mark_published(connection, being_told)
        assert untold() == [2000]
        revocations.mark_published(connection, revocations.unpublished(connection))
        assert untold() == []
        revocations.raise_cutoff(connection, 1, Cutoff(3000))
        assert untold() == [3000]


def test_a_late_writer_does_not_bring_an_older_cutoff_back(mirror: RevocationMirror, redis: Client) -> None:
    rows = [UserCutoff(5, Cutoff(at, (f"kept-at-{at}",)), moment(FAR * 1000)) for at in (1000, 3000, 2000)]
    for row in rows:
        mirror.publish([row])
    assert redis.get(user_key(5)) == "3000 kept-at-3000"


def test_keys_go_when_what_they_revoke_is_over_and_not_before(
    mirror: RevocationMirror, redis: Client
) -> None:
    mirror.publish([RevokedToken("a", moment(FAR * 1000)), UserCutoff(5, Cutoff(1), moment(FAR * 1000))])
    assert redis.expiretime(token_key("a")) == redis.expiretime(user_key(5)) == FAR + MARGIN_SECONDS


def test_more_revocations_than_fit_a_batch_are_all_filled_in(
    auth: AuthService, redis: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocations, "BATCH", 7)
    with auth.engine.begin() as connection:
        tokens = [RevokedToken(f"token-{number:02}", moment(FAR * 1000)) for number in range(20)]
        revocations.revoke(connection, 1, tokens)
        for user_id in (-(2**63), -1, 0, *range(1, 18)):
            revocations.raise_cutoff(connection, user_id, Cutoff(FAR * 1000))
    auth.keeper.round()
    redis.flushall()
    auth.keeper.round()
    assert len(redis.keys("revoked:token:*")) == len(redis.keys("revoked:user:*")) == 20


def test_what_has_expired_is_removed_and_what_has_not_stays(auth: AuthService) -> None:
    kept = auth.open_session(1)
    ended(auth, "all")
    ended(auth)
    auth.open_session(2)
    for table in ("sessions", "session_tokens"):
        which = "id" if table == "sessions" else "session_id"
        auth.rows(
            f"UPDATE {table} SET expires_at = now() - interval '2 hours'"
            f" WHERE {which} IN (SELECT id FROM sessions WHERE user_id = 2) RETURNING 1"
        )
    auth.rows("INSERT INTO revocations VALUES ('old', 1, now() - interval '2 hours') RETURNING 1")
    auth.rows("INSERT INTO user_cutoffs VALUES (9, 1, '{}', now() - interval '2 hours') RETURNING 1")
    auth.keeper.tidy()
    assert auth.rows("SELECT DISTINCT user_id FROM sessions") == [(1,)]
    assert auth.rows("SELECT count(*) FROM session_tokens") == auth.rows("SELECT count(*) FROM sessions")
    assert auth.rows("SELECT count(*) FROM revocations WHERE token_id = 'old'") == [(0,)]
    assert auth.rows("SELECT user_id FROM user_cutoffs") == [(1,)]
    assert auth.verdict(kept) == "revoked"


def test_lines_of_the_audit_log_go_when_they_are_old_enough_and_not_before(make_service: Make) -> None:
    auth = make_service("database", audit_retention_days=30)
    for age in ("31 days", "29 days", "400 days"):
        auth.rows(
            "INSERT INTO audit_log (at, action, ip, user_agent, detail)"
            " VALUES (now() - CAST(%s AS interval), %s, '', '', '{}') RETURNING 1",
            age,
            age,
        )
    auth.keeper.round()
    assert auth.rows("SELECT action FROM audit_log") == [("29 days",)]


def test_much_that_is_too_old_goes_in_batches_round_by_round(
    auth: AuthService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "BATCH", 4)
    auth.rows(
        "INSERT INTO audit_log (at, action, ip, user_agent, detail)"
        " SELECT now() - interval '400 days', 'old', '', '', '{}' FROM generate_series(1, 10) RETURNING 1"
    )
    auth.rows(
        "INSERT INTO revocations SELECT number::text, 1, now() - interval '2 hours'"
        " FROM generate_series(1, 10) AS number RETURNING 1"
    )

    def left() -> set[int]:
        return {auth.rows(f"SELECT count(*) FROM {table}")[0][0] for table in ("audit_log", "revocations")}

    seen = [(auth.keeper.tidy(), left()) for _ in range(3)]
    assert seen == [(True, {6}), (True, {2}), (False, {0})]


def test_a_logout_that_redis_did_not_take_says_so_and_still_counts(
    auth: AuthService, running_again: RedisServer
) -> None:
    token = auth.open_session(1)
    running_again.kill()
    answer = auth.public("POST", "/api/logout", token=token)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    running_again.start()
    auth.keeper.round()
    assert auth.verdict(token) == "revoked"


def test_a_logout_waits_less_than_a_second_for_a_frozen_redis_and_counts_once_it_goes_on(
    auth: AuthService, redis: Client
) -> None:
    token = auth.open_session(1)
    server = psutil.Process(int(redis.info("server")["process_id"]))
    server.suspend()
    try:
        started = time.monotonic()
        answer = auth.public("POST", "/api/logout", token=token)
        took = time.monotonic() - started
    finally:
        server.resume()
    assert answer.status_code == 503
    assert took < 1
    auth.keeper.round()
    assert auth.verdict(token) == "revoked"


def test_no_acknowledged_logout_is_ever_seen_good_again_while_redis_keeps_losing_its_data(
    auth: AuthService, redis: Client
) -> None:
    auth.keeper.start()
    finished = threading.Event()
    acknowledged: list[str] = []
    wrong: list[str] = []

    def lose() -> None:
        while not finished.wait(0.05):
            redis.flushall()

    def watch() -> None:
        while not finished.is_set():
            wrong.extend(token for token in acknowledged[-20:] if auth.verdict(token) == "good")

    threads = [threading.Thread(target=work) for work in (lose, watch)]
    for thread in threads:
        thread.start()
    for number in range(40):
        acknowledged.append(ended(auth, "all" if number % 4 == 0 else "session"))
    finished.set()
    for thread in threads:
        thread.join()
    wait_until(lambda: auth.verdict(acknowledged[0]) != "unknown", 3, "the last rebuild")
    auth.keeper.stop()
    assert wrong == []
    assert {auth.verdict(token) for token in acknowledged} == {"revoked"}
