"""Sessions: listed, continued and ended, whichever store holds the users; a token that was ended stays out."""

import uuid
from concurrent.futures import ThreadPoolExecutor

from service_kit.tokens import legacy_token_id
from tests.integration.auth_app.support import KEYS, AuthService, legacy_token


def test_sessions_are_listed_newest_first_with_the_presented_one_marked(auth: AuthService) -> None:
    old, new = auth.open_session(1), auth.open_session(1)
    auth.open_session(2)
    listed = auth.listed(old)
    assert [session["current"] for session in listed] == [False, True]
    assert [session["current"] for session in auth.listed(new)] == [True, False]
    assert set(listed[0]) == {"id", "created_at", "last_seen_at", "expires_at", "user_agent", "ip", "current"}
    assert (listed[0]["user_agent"], listed[0]["ip"]) == ("a phone", "198.51.100.7")


def test_logout_ends_the_presented_session_at_once_and_no_other(auth: AuthService) -> None:
    here, there = auth.open_session(1), auth.open_session(1)
    answer = auth.public("POST", "/api/logout", token=here)
    assert (answer.status_code, answer.get_json()["success"]) == (200, True)
    assert (auth.verdict(here), auth.verdict(there)) == ("revoked", "good")
    assert len(auth.listed(there)) == 1
    assert auth.events("auth.logout") == [{"user_id": 1, "scope": "session"}]


def test_logout_of_all_ends_every_session_of_the_user_listed_or_not(auth: AuthService) -> None:
    tokens = [auth.open_session(1), auth.open_session(1), legacy_token(1), legacy_token(1, age=5000)]
    other = auth.open_session(2)
    assert auth.public("POST", "/api/logout", {"scope": "all"}, tokens[0]).status_code == 200
    assert [auth.verdict(token) for token in tokens] == ["revoked"] * 4
    assert auth.verdict(other) == "good"
    later = auth.open_session(1)
    assert auth.verdict(later) == "good"
    assert len(auth.listed(later)) == 1
    assert auth.events("auth.logout") == [{"user_id": 1, "scope": "all"}]


def test_a_legacy_token_can_be_logged_out(auth: AuthService) -> None:
    ours, theirs = legacy_token(1), legacy_token(1, age=60)
    assert auth.public("POST", "/api/logout", token=ours).status_code == 200
    assert (auth.verdict(ours), auth.verdict(theirs)) == ("revoked", "good")


def test_a_legacy_token_is_listed_as_the_session_that_it_is_and_can_be_revoked_from_elsewhere(
    auth: AuthService,
) -> None:
    theirs, ours = legacy_token(1, age=60), auth.open_session(1)
    listed = auth.listed(theirs)
    assert [session["current"] for session in listed] == [False, True]
    assert auth.public("DELETE", f"/api/sessions/{listed[1]['id']}", token=ours).status_code == 200
    assert (auth.verdict(theirs), auth.verdict(ours)) == ("revoked", "good")
    assert len(auth.listed(theirs)) == 1, "listing does not bring it back"


def test_one_session_can_be_revoked_and_again_is_the_same_as_once(auth: AuthService) -> None:
    here, there = auth.open_session(1), auth.open_session(1)
    other = next(session["id"] for session in auth.listed(here) if not session["current"])
    for _ in range(2):
        assert auth.public("DELETE", f"/api/sessions/{other}", token=here).status_code == 200
    assert (auth.verdict(here), auth.verdict(there)) == ("good", "revoked")


def test_a_session_that_does_not_exist_is_not_found(auth: AuthService) -> None:
    token = auth.open_session(1)
    for session_id in ("x", "1", str(uuid.UUID(int=0)), "%00", "..%2f", "a" * 3000, "é"):
        answer = auth.public("DELETE", f"/api/sessions/{session_id}", token=token)
        assert (answer.status_code, answer.get_json()["success"]) == (404, False)


def test_the_session_of_another_user_is_not_found_and_stays(auth: AuthService) -> None:
    mine, theirs = auth.open_session(1), auth.open_session(2)
    answer = auth.public("DELETE", f"/api/sessions/{auth.listed(theirs)[0]['id']}", token=mine)
    assert answer.status_code == 404
    assert auth.verdict(theirs) == "good"


def test_a_continued_session_is_one_session_and_ends_with_all_of_its_tokens(auth: AuthService) -> None:
    first = auth.open_session(1)
    second = auth.open_session(1, token_id=KEYS.verify(first).token_id)
    assert len(auth.listed(second)) == 1
    assert auth.listed(first)[0]["current"]
    auth.public("POST", "/api/logout", token=second)
    assert (auth.verdict(first), auth.verdict(second)) == ("revoked", "revoked")


def test_a_legacy_token_can_be_continued_and_both_end_together(auth: AuthService) -> None:
    first = legacy_token(1)
    claims = KEYS.verify(first)
    second = auth.open_session(1, token_id=claims.token_id, token_issued_at=claims.issued_at)
    assert [session["current"] for session in auth.listed(first)] == [True]
    auth.public("POST", "/api/logout", token=second)
    assert (auth.verdict(first), auth.verdict(second)) == ("revoked", "revoked")


def test_a_session_that_was_ended_meanwhile_is_not_continued_into_a_good_token(auth: AuthService) -> None:
    for scope in ("session", "all"):
        ended, legacy = auth.open_session(1), legacy_token(1, age=7 if scope == "all" else 8)
        for token in (ended, legacy):
            auth.public("POST", "/api/logout", {"scope": scope}, token)
        for token in (ended, legacy):
            claims = KEYS.verify(token)
            born = auth.open_session(1, token_id=claims.token_id, token_issued_at=claims.issued_at)
            assert auth.verdict(born) == "revoked"


def test_logout_and_continuing_at_the_same_moment_leave_no_good_token(auth: AuthService) -> None:
    for _ in range(15):
        first = auth.open_session(1)
        token_id = KEYS.verify(first).token_id
        with ThreadPoolExecutor(2) as threads:
            continuing = threads.submit(auth.open_session, 1, token_id=token_id)
            ending = threads.submit(auth.public, "POST", "/api/logout", None, first)
        assert ending.result().status_code == 200
        assert (auth.verdict(first), auth.verdict(continuing.result())) == ("revoked", "revoked")


def test_a_logout_with_an_unknown_scope_ends_nothing(auth: AuthService) -> None:
    token = auth.open_session(1)
    scopes: list[object] = [None, 1, True, [], {}, ["all"], "ALL", "", "x" * 10_000, "\0", "\ud800"]
    for scope in scopes:
        answer = auth.public("POST", "/api/logout", {"scope": scope}, token)
        assert (answer.status_code, answer.get_json()["message"]) == (400, "Validation failed")
    assert auth.verdict(token) == "good"


def test_without_an_identity_there_are_no_sessions(auth: AuthService) -> None:
    for method, path in (("GET", "/api/sessions"), ("POST", "/api/logout"), ("DELETE", "/api/sessions/x")):
        answer = auth.public(method, path)
        assert (answer.status_code, answer.get_json()["message"]) == (401, "Access token required")


def test_ends_and_beginnings_are_in_the_audit_log_without_a_secret(auth: AuthService) -> None:
    token = auth.open_session(1)
    auth.public("POST", "/api/logout", token=token, headers={"X-Correlation-ID": "from-the-gateway"})
    lines = auth.rows("SELECT action, user_id, ip, user_agent, correlation_id FROM audit_log ORDER BY id")
    assert [line[:2] for line in lines] == [("session_opened", 1), ("logout", 1)]
    assert lines[1][2:] == ("198.51.100.7", "a browser", "from-the-gateway")
    kept = str(auth.rows("SELECT * FROM audit_log")) + str(auth.rows("SELECT * FROM session_tokens"))
    assert token not in kept
    assert legacy_token_id(token) not in kept
