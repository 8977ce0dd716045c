"""Bodies are read as express.json() read them, and never at more than their limit's cost."""

import gzip
import json
import tracemalloc
import zlib
from io import RawIOBase
from typing import Any

import pytest
from flask import Request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException
from werkzeug.test import EnvironBuilder

from service_kit.json_body import MAX_DEPTH, read_json_fields

LIMIT = 10_000


def read(body: bytes, content_type: str = "application/json", encoding: str = "") -> dict[str, Any]:
    headers = {"Content-Encoding": encoding} if encoding else {}
    builder = EnvironBuilder(method="POST", data=body, content_type=content_type, headers=headers)
    return read_json_fields(builder.get_request(Request), LIMIT)


def status(body: bytes, content_type: str = "application/json", encoding: str = "") -> int | None:
    with pytest.raises(HTTPException) as refused:
        read(body, content_type, encoding)
    return refused.value.code


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


@pytest.mark.parametrize(
    ("body", "content_type", "fields"),
    [
        (b'{"a": "b"}', "application/json", {"a": "b"}),
        (b' \r\n\t{"a": 1.0, "b": 1e2, "c": -0}', "application/json", {"a": 1, "b": 100, "c": 0}),
        (b'{"a": 1, "a": 2}', "application/json", {"a": 2}),
        (b'\xef\xbb\xbf{"a": 1}', "application/json", {"a": 1}),
        (b'{"a": "\\ud83d\\ude00"}', "Application/JSON; charset=UTF-8", {"a": "😀"}),
        ('{"a": "é"}'.encode("utf-16"), "application/json; charset=utf-16", {"a": "é"}),
        ('{"a": "é"}'.encode("utf-16-be"), "application/json; charset=utf-16be", {"a": "é"}),
        ('{"a": "é"}'.encode("utf-32"), "application/json; charset=utf-32", {"a": "é"}),
        (b"[1, 2]", "application/json", {}),
        (b"", "application/json", {}),
        (b'{"a": 1}', "text/json", {}),
        (b'{"a": 1}', "application/vnd.api+json", {}),
        (b'{"a": 1}', "", {}),
        (b"a=1", "application/x-www-form-urlencoded", {}),
    ],
)
def test_what_express_takes(body: bytes, content_type: str, fields: dict[str, Any]) -> None:
    assert read(body, content_type) == fields


NO_OBJECTS = [
    *(
        b" ",
        b"x",
        b'"x"',
        b"5",
        b"null",
        b"true",
        b"{",
        b'{"a":}',
        b"{'a': 1}",
        b'{"a": 1,}',
        b"[1 2]",
        b"{} {}",
    ),
    *(b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 01}', b'{"a": .5}', b'{"a": "\x01"}', b'{"a": "\\x"}'),
    *(b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}', b"\x00{}"),
]


@pytest.mark.parametrize("body", NO_OBJECTS)
def test_what_is_no_json_object_is_a_bad_request(body: bytes) -> None:
    assert status(body) == 400


def test_charsets_and_encodings_that_nobody_decodes_are_unsupported() -> None:
    for charset in ("latin1", "utf-7", "utf-8-sig", "unicode_escape", "rot13", "x"):
        assert status(b"{}", f"application/json; charset={charset}") == 415
    for encoding in ("br", "zstd", "compress", "gzip, gzip"):
        assert status(b"{}", encoding=encoding) == 415


def test_packed_bodies_are_unpacked() -> None:
    body = b'{"a": "b"}'
    raw = zlib.compressobj(wbits=-15)
    assert read(gzip.compress(body), encoding="gzip") == {"a": "b"}
    assert read(zlib.compress(body), encoding="deflate") == {"a": "b"}
    assert read(raw.compress(body) + raw.flush(), encoding="Deflate") == {"a": "b"}
    assert read(body, encoding="identity") == {"a": "b"}


def test_broken_packing_is_a_bad_request() -> None:
    packed = gzip.compress(b'{"a": "b"}')
    for body in (b"{}", packed[:-4], packed + b"more", b"", b"\x1f\x8b"):
        assert status(body, encoding="gzip") == 400


def test_the_limit_holds_packed_and_unpacked() -> None:
    fits = b'{"a": "' + b"x" * (LIMIT - 9) + b'"}'
    assert len(fits) == LIMIT
    assert len(read(fits)["a"]) == LIMIT - 9
    assert len(read(gzip.compress(fits), encoding="gzip")["a"]) == LIMIT - 9
    assert status(fits + b" ") == 413
    assert status(gzip.compress(fits + b" "), encoding="gzip") == 413


def test_a_bomb_costs_no_more_than_the_limit() -> None:
    bomb = zlib.compress(b" " * 50_000_000, 9)[: LIMIT - 1]
    tracemalloc.start()
    assert status(bomb, encoding="deflate") == 413
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * LIMIT


def test_a_body_of_unknown_length_is_read_no_further_than_the_limit() -> None:
    class Endless(RawIOBase):
        taken = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            self.taken += len(buffer)
            assert self.taken < 100 * LIMIT
            buffer[:] = b" " * len(buffer)
            return len(buffer)

    builder = EnvironBuilder(
        method="POST", content_type="application/json", headers={"Transfer-Encoding": "chunked"}
    )
    environ = builder.get_environ()
    environ |= {"wsgi.input": Endless(), "wsgi.input_terminated": True}
    environ.pop("CONTENT_LENGTH", None)
    request = Request(environ)
    request.max_content_length = LIMIT
    with pytest.raises(HTTPException) as refused:
        read_json_fields(request, LIMIT)
    assert refused.value.code == 413


def test_nesting_has_a_limit() -> None:
    read(nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 500, 1000):
        assert status(nested(depth)) == 400
    assert status(b"[" * LIMIT) == 400


@given(
    st.dictionaries(st.text(), st.text() | st.booleans() | st.none() | st.integers(-(2**53) + 1, 2**53 - 1))
)
def test_what_json_writes_is_what_is_read(fields: dict[str, Any]) -> None:
    body = json.dumps(fields).encode()
    if len(body) <= LIMIT:
        assert read(body) == fields


@given(st.binary(max_size=200), st.sampled_from(["", "gzip", "deflate"]))
def test_no_bytes_bring_the_reader_down(body: bytes, encoding: str) -> None:
    try:
        read(body, encoding=encoding)
    except HTTPException as refused:
        assert refused.code in (400, 413, 415)
