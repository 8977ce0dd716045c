"""The routing table: where a request target leads, and which targets lead nowhere."""

import pytest

from gateway_app.routes import ROUTES, NoRoute, find


@pytest.mark.parametrize(
    ("method", "target", "service", "passed_on"),
    [
        ("POST", "/api/register", "user", "/api/register"),
        ("GET", "/api/profile", "user", "/api/profile"),
        ("HEAD", "/api/profile", "user", "/api/profile"),
        ("PUT", "/api/preferences?x=%20y", "user", "/api/preferences?x=%20y"),
        ("GET", "/api/activity?limit=5", "user", "/api/activity?limit=5"),
        ("POST", "/api/login", "auth", "/api/login"),
        ("PUT", "/api/change-password", "auth", "/api/change-password"),
        ("POST", "/api/logout", "auth", "/api/logout"),
        ("GET", "/api/sessions", "auth", "/api/sessions"),
        ("DELETE", "/api/sessions/01a2-Bc_d", "auth", "/api/sessions/01a2-Bc_d"),
        ("GET", "/api/health", "", "/api/health"),
        ("GET", "/API/Profile/", "user", "/api/profile"),
        ("DELETE", "/Api/Sessions/AbC/", "auth", "/api/sessions/AbC"),
        ("GET", "http://gateway/api/profile?x=1", "user", "/api/profile?x=1"),
        ("OPTIONS", "/api/login", "auth", "/api/login"),
    ],
)
def test_a_target_leads_to_its_service(method: str, target: str, service: str, passed_on: str) -> None:
    destination = find(method, target)
    assert (destination.route.service, destination.target) == (service, passed_on)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/", 404),
        ("GET", "*", 404),
        ("GET", "/api/nope", 404),
        ("GET", "/api/profilex", 404),
        ("GET", "/api/profile;x", 404),
        ("GET", "/api/pr%6ffile", 404),
        ("GET", "/internal/events", 404),
        ("GET", "/metrics", 404),
        ("DELETE", "/api/sessions/a/b", 404),
        ("DELETE", "/api/sessions/" + "a" * 65, 404),
        ("GET", "/api//profile", 400),
        ("GET", "//api/profile", 400),
        ("GET", "/api/profile//", 400),
        ("GET", "/api/../api/profile", 400),
        ("GET", "/api/./profile", 400),
        ("GET", "/api/profile/..", 400),
        ("GET", "/api/%2e%2e/internal", 400),
        ("GET", "/api%2fprofile", 400),
        ("GET", "/api%5cprofile", 400),
        ("GET", "/api\\profile", 400),
        ("GET", "/api/profile%00", 400),
        ("GET", "/api/profile%0a", 400),
        ("GET", "/api/profile%", 400),
        ("GET", "/api/profile%zz", 400),
        ("GET", "/api/profile?x=%00", 400),
        ("GET", "api/profile", 400),
        ("GET", "ftp://gateway/api/profile", 400),
        ("POST", "/api/profile", 405),
        ("GET", "/api/login", 405),
        ("HEAD", "/api/login", 405),
        ("PATCH", "/api/profile", 405),
        ("BREW", "/api/profile", 405),
        ("TRACE", "/api/nope", 405),
        ("CONNECT", "example.com:443", 405),
    ],
)
def test_other_targets_lead_nowhere(method: str, target: str, status: int) -> None:
    with pytest.raises(NoRoute) as caught:
        find(method, target)
    assert caught.value.status == status


def test_a_wrong_method_names_the_right_ones() -> None:
    with pytest.raises(NoRoute) as caught:
        find("DELETE", "/api/profile")
    assert caught.value.route is not None and caught.value.route.allow == "GET, HEAD, OPTIONS, PUT"


def test_only_what_has_to_be_is_open_without_a_token() -> None:
    public = {route.path for route in ROUTES if route.public}
    own = {"/api/health", "/api/openapi.json", "/api/docs", "/healthz", "/readyz"}
    assert public == {"/api/register", "/api/login"} | own


def test_guessing_passwords_is_limited_more_strictly() -> None:
    assert {route.path for route in ROUTES if route.policy == "credentials"} == {
        "/api/register",
        "/api/login",
    }
