"""The description tells every route, and the page needs nothing but itself."""

import json
import re

from gateway_app.docs_page import render
from gateway_app.openapi import document
from gateway_app.routes import ROUTES


def test_every_route_is_described_with_its_methods_and_whether_it_wants_a_token() -> None:
    described = {
        path: {method.upper(): bool(operation.get("security")) for method, operation in methods.items()}
        for path, methods in document()["paths"].items()
    }
    routed = {
        route.path: dict.fromkeys(route.methods, not route.public)
        for route in ROUTES
        if route.path.startswith("/api/")
    }
    assert described == routed


def test_every_reference_leads_somewhere() -> None:
    description = document()
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(description)):
        found = description
        for step in reference.split("/"):
            found = found[step]
        assert found


def test_every_operation_tells_the_envelope_of_its_errors() -> None:
    for methods in document()["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                (content,) = response["content"].values()
                assert (status >= "400") == (content["schema"] == {"$ref": "#/components/schemas/Error"})


def test_the_page_shows_every_route_and_loads_nothing() -> None:
    page = render(document())
    for route in ROUTES:
        assert (f"<code>{route.path}</code>" in page) == route.path.startswith("/api/")
    assert "<script" not in page and "onclick" not in page
    assert set(re.findall(r'(?:src|href)="([^"#][^"]*)"', page)) == {"/api/openapi.json"}


def test_the_page_escapes_what_it_shows() -> None:
    description = document()
    description["info"]["title"] = "<script>alert(1)</script>"
    assert "<script" not in render(description)
