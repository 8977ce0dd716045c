"""Log lines: one JSON object each, with the correlation id, whatever is in the message."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from service_kit import log


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.setup("some-service", "INFO", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    log.set_correlation_id(None)


def test_a_line_is_one_json_object_with_its_service(lines: io.StringIO) -> None:
    logging.getLogger("some.module").info("two\nlines of %s", "text", extra={"user_id": 7})
    assert lines.getvalue().count("\n") == 1
    line = json.loads(lines.getvalue())
    assert line["message"] == "two\nlines of text"
    assert (line["service"], line["logger"], line["level"]) == ("some-service", "some.module", "INFO")
    assert line["user_id"] == 7
    assert line["timestamp"].endswith("+00:00")


def test_lone_surrogates_and_control_characters_do_not_break_a_line(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()  # pytest's own handlers would put the text into its reports
    monkeypatch.setattr(
        root, "handlers", [one for one in root.handlers if getattr(one, "stream", 0) is lines]
    )
    logging.getLogger().warning("\ud800\x00\u2028")
    lines.getvalue().encode("ascii")
    assert json.loads(lines.getvalue())["message"] == "\ud800\x00\u2028"


def test_the_correlation_id_holds_inside_of_its_block_only(lines: io.StringIO) -> None:
    with log.correlated("outer"), log.correlated("inner"):
        logging.getLogger().info("x")
    logging.getLogger().info("y")
    first, second = (json.loads(line) for line in lines.getvalue().splitlines())
    assert first["correlation_id"] == "inner"
    assert "correlation_id" not in second


def test_lines_below_the_level_are_left_out(lines: io.StringIO) -> None:
    logging.getLogger("some.module").debug("x")
    logging.getLogger("urllib3.connectionpool").info("x")
    assert lines.getvalue() == ""


def test_a_second_setup_replaces_the_first(lines: io.StringIO) -> None:
    other = io.StringIO()
    log.setup("other", "INFO", other)
    logging.getLogger().info("x")
    assert lines.getvalue() == ""
    assert other.getvalue().count("\n") == 1
