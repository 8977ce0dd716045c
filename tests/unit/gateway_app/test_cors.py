"""Cross-origin fields outside of Flask are those that flask-cors sets inside."""

import pytest
from flask import Flask, Response
from flask_cors import CORS

from gateway_app.cors import Cors, cors_options

ORIGINS = ("http://localhost:3000", "https://app.example.com", "http://[::1]:3000")


def fields(headers: list[tuple[str, str]]) -> dict[str, str]:
    assert len({name for name, _ in headers}) == len(headers)
    return dict(headers)


@pytest.mark.parametrize("origin", [*ORIGINS, "HTTP://LOCALHOST:3000"])
def test_a_known_origin_may_read_the_answer_with_credentials(origin: str) -> None:
    got = fields(Cors(ORIGINS).fields(origin))
    assert got["Access-Control-Allow-Origin"] == origin
    assert got["Access-Control-Allow-Credentials"] == "true"
    assert "X-Correlation-ID" in got["Access-Control-Expose-Headers"]
    assert got["Vary"] == "Origin"


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "*",
        "http://localhost:3001",
        "https://localhost:3000",
        "http://localhost:30000",
        "http://localhost:3000.evil.com",
        "http://localhost:3000@evil.com",
        "http://localhost:3000 ",
        "https://evilapp.example.com",
        "https://appxexample.com",
        "https://app.example.com.evil.com",
        "https://app.example.com`.evil.com",
        "https://app_example.com",
        "http://:3000",
        "http://1:3000",
    ],
)
def test_any_other_origin_may_not_but_caches_are_told(origin: str | None) -> None:
    assert Cors(ORIGINS).fields(origin) == [("Vary", "Origin")]
    assert Cors(ORIGINS).preflight(origin, "PUT", "authorization") == [("Vary", "Origin")]


def test_a_preflight_names_methods_and_the_headers_asked_for() -> None:
    got = fields(Cors(ORIGINS).preflight(ORIGINS[0], "PUT", "authorization, content-type"))
    assert got["Access-Control-Allow-Methods"] == "DELETE, GET, HEAD, OPTIONS, POST, PUT"
    assert got["Access-Control-Allow-Headers"] == "authorization, content-type"
    assert got["Access-Control-Max-Age"] == "600"
    assert got["Access-Control-Allow-Origin"] == ORIGINS[0]


def test_a_preflight_for_a_method_that_no_route_has_is_not_granted() -> None:
    assert "Access-Control-Allow-Methods" not in fields(Cors(ORIGINS).preflight(ORIGINS[0], "BREW", None))


@pytest.mark.parametrize("origin", [*ORIGINS, "http://evil.example"])
def test_flask_cors_in_flask_sets_the_same(origin: str) -> None:
    app = Flask(__name__)
    CORS(app, **cors_options(ORIGINS))
    app.add_url_rule("/", "index", lambda: Response("x"))
    answer = app.test_client().get("/", headers={"Origin": origin})
    inside = {name: value for name, value in answer.headers if name.startswith("Access-Control-")}
    outside = {name: value for name, value in Cors(ORIGINS).fields(origin) if name != "Vary"}
    assert inside == outside


def test_the_memory_of_origins_is_bounded() -> None:
    cors = Cors(ORIGINS)
    for number in range(2000):
        cors.fields(f"http://evil{number}.example")
    assert len(cors._known) <= 256
