"""Field checks answer as the legacy server's chains did; what it died on is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_kit.validation import MAX_NAME, MAX_NEW_PASSWORD, Form, ValidationFailed

json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def errors_of(form: Form) -> list[dict[str, Any]]:
    try:
        form.check()
    except ValidationFailed as failed:
        return failed.errors
    return []


def error(path: str, msg: str = "Invalid value", **value: Any) -> dict[str, Any]:
    return {"type": "field", **value, "msg": msg, "path": path, "location": "body"}


def test_errors_come_in_the_order_of_the_fields_and_leave_out_missing_values() -> None:
    form = Form({"password": "12345"})
    form.email("email")
    form.new_password("password")
    form.name("name")
    assert errors_of(form) == [error("email"), error("password", value="12345")]
    assert list(errors_of(form)[1]) == ["type", "value", "msg", "path", "location"]


def test_clean_values_come_back() -> None:
    form = Form({"email": "Ann.B@gmail.com", "password": " 12345", "name": "\ufeff Ann\u2003", "other": 1})
    assert form.email("email") == "annb@gmail.com"
    assert form.new_password("password") == " 12345"
    assert form.name("name") == "Ann"
    form.check()


@pytest.mark.parametrize(
    ("value", "echoed"),
    [
        ("bad", ["bad"]),
        (None, [None]),
        (5, [5]),
        (True, [True]),
        ({"a": 1}, [{"a": 1}]),
        ([], [[]]),
        (["x", "y"], ["x", "y"]),  # one error an element, as the legacy server answered
        (["a@b.co", "x"], ["x"]),
        (["a@b.co"], [["a@b.co"]]),  # the legacy server went on and died
        ("+a@gmail.com", ["+a@gmail.com"]),  # nothing left of it: stored as `false` there
        ('"\x01"@b.co', ['"\x01"@b.co']),
        (float("inf"), [None]),
    ],
)
def test_what_is_no_email_is_echoed_as_it_was_seen(value: Any, echoed: list[Any]) -> None:
    form = Form({"email": value})
    assert form.email("email", "No email") is None
    assert errors_of(form) == [error("email", "No email", value=each) for each in echoed]


@pytest.mark.parametrize(
    ("value", "echoed"),
    [
        ("", ""),
        (" \ufeff\t ", ""),
        (None, ""),
        ({}, {}),
        ([], []),
        ([" "], ""),
        (["Ann"], ["Ann"]),
        ("a\x00b", "a\x00b"),
        (" a\ud800 ", "a\ud800"),
        ("a\x1bb", "a\x1bb"),
        ("x" * (MAX_NAME + 1), "x" * (MAX_NAME + 1)),
    ],
)
def test_what_is_no_name_is_echoed_trimmed(value: Any, echoed: Any) -> None:
    form = Form({"name": value})
    assert form.name("name") is None
    assert errors_of(form) == [error("name", value=echoed)]


@pytest.mark.parametrize(
    ("value", "name"), [(7, "7"), (1e21, "1e+21"), (-0.5, "-0.5"), ("x" * MAX_NAME, "x" * MAX_NAME)]
)
def test_a_number_is_a_name(value: Any, name: str) -> None:
    assert Form({"name": value}).name("name") == name


def test_optional_means_missing_and_nothing_else() -> None:
    form = Form({})
    assert (form.name("name"), form.email("email", optional=True)) == (None, None)
    form.check()
    required = Form({})
    required.name("name", optional=False)
    assert errors_of(required) == [error("name", value="")]


@pytest.mark.parametrize(
    ("value", "fine"),
    [
        ("123456", True),
        ("😀😀😀😀😀😀", True),
        ("12345", False),
        ("😀😀😀", False),  # six UTF-16 units, three characters
        ("12345\ufe0f", False),  # presentation selectors do not count
        (123456, False),
        ([], False),
        (["secret12"], False),
        ({"length": 8}, False),
        ("secret\x0012", False),
        ("secret\ud80012", False),
        ("x" * MAX_NEW_PASSWORD, True),
        ("x" * (MAX_NEW_PASSWORD + 1), False),
    ],
)
def test_a_new_password_has_six_characters_that_can_be_kept(value: Any, fine: bool) -> None:
    form = Form({"password": value})
    assert (form.new_password("password") is not None) is fine
    assert (errors_of(form) == []) is fine


def test_a_password_to_compare_may_hold_anything() -> None:
    for value in ("x" * 5000, "a\x00b", "\ud800", " "):
        assert Form({"password": value}).password("password") == value
    form = Form({"password": ""})
    form.password("password", "Current password is required")
    assert errors_of(form) == [error("password", "Current password is required", value="")]


@given(st.dictionaries(st.sampled_from(["email", "password", "name", "theme", "flag"]), json_values))
def test_no_value_breaks_a_form_and_every_answer_is_json(fields: dict[str, Any]) -> None:
    form = Form(fields)
    form.email("email")
    form.new_password("password")
    form.name("name")
    form.text("theme", bool)
    form.flag("flag")
    for each in errors_of(form):
        json.dumps(each, allow_nan=False)
