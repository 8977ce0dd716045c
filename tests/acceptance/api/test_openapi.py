"""The OpenAPI document is what the gateway does: schemathesis holds every route to it with generated requests."""

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from devstack.stack import Stack
from gateway_app.openapi import document as gateway_document
from tests.acceptance.api.conftest import Api

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    ignored_auth,
]


@pytest.fixture(scope="package")
def document(stack: Stack) -> Any:
    """The document as the running gateway serves it."""
    return json.loads(Api(stack.url("gateway-1")).send("GET", "/api/openapi.json").body)


@pytest.fixture(scope="package")
def api_schema(stack: Stack, document: Any) -> Any:
    return schemathesis.openapi.from_dict(document)


OPERATIONS = [
    (method, path)
    for path, item in gateway_document()["paths"].items()
    for method in item
    if method in ("get", "put", "post", "delete")
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{m} {p}" for m, p in OPERATIONS])
def test_each_route_answers_as_documented(
    api_schema: Any, api: Api, shared_token: str, method: str, path: str
) -> None:
    ends_sessions = path == "/api/logout"

    @given(case=api_schema[path][method].as_strategy())
    @settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def answers_as_documented(case: Case) -> None:
        token = api.register(name="Schema").json["token"] if ends_sessions else shared_token
        case.call_and_validate(
            base_url=api.url, headers={"Authorization": f"Bearer {token}"}, checks=CHECKS, timeout=20
        )

    answers_as_documented()


def test_the_document_names_every_public_route(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) >= {
        "/api/register",
        "/api/login",
        "/api/logout",
        "/api/profile",
        "/api/change-password",
        "/api/preferences",
        "/api/activity",
        "/api/sessions",
        "/api/sessions/{id}",
        "/api/health",
    }


def test_the_page_to_read_needs_nothing_from_elsewhere(api: Api) -> None:
    answer = api.send("GET", "/api/docs")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert b"/api/register" in answer.body
    assert b"http://" not in answer.body.replace(b"http://127.0.0.1", b"").replace(b"http://localhost", b"")
    assert b"https://" not in answer.body
