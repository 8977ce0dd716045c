"""Request bodies read as the legacy server's `express.json()` read them, with its holes closed.

Kept: only `application/json` is read, anything else leaves no fields; only an object or an array may be at
the top; the last of doubled keys wins; gzip and deflate are unpacked. Refused, where the legacy server
guessed or died: text that is not valid in its charset, deep nesting, bodies that grow past the limit while
they are unpacked.
"""

import codecs
import json
import zlib
from typing import Any

from flask import Request
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, UnsupportedMediaType

from service_kit import javascript

MAX_DEPTH = 64
_CHARSETS = ("utf-8", "utf-16", "utf-16le", "utf-16be", "utf-32", "utf-32le", "utf-32be")
_BLANKS = " \t\n\r"


def read_json_fields(request: Request, max_bytes: int) -> dict[str, Any]:
    """The fields of the request's JSON object; {} when there is none (no body, no JSON type, an array at the
    top).

    `max_bytes` bounds the body as sent and as unpacked. Numbers are doubles, given as int where that is
    exact.

    Raises:
        BadRequest, RequestEntityTooLarge, UnsupportedMediaType: answered in the envelope by
        `service_kit.http`.
    """
    if request.mimetype != "application/json":
        return {}
    body = _unpack(_read(request, max_bytes), request.headers.get("Content-Encoding", ""), max_bytes)
    charset = request.mimetype_params.get("charset", "utf-8").strip().lower()
    if charset not in _CHARSETS:
        raise UnsupportedMediaType("The charset is not supported")
    if not body:
        return {}
    value = _parse(_decode(body, charset))
    return value if isinstance(value, dict) else {}


def _read(request: Request, max_bytes: int) -> bytes:
    if (request.content_length or 0) > max_bytes:
        raise RequestEntityTooLarge
    request.max_content_length = max_bytes + 1  # a body of unknown length is cut there without a word
    try:
        body = request.get_data(cache=False)
    except HTTPException:
        raise
    except OSError as error:
        raise BadRequest("The request body could not be read") from error
    if len(body) > max_bytes:
        raise RequestEntityTooLarge
    return body


def _unpack(body: bytes, encoding: str, max_bytes: int) -> bytes:
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "deflate"):
        raise UnsupportedMediaType("The content encoding is not supported")
    headed = encoding == "gzip" or _has_zlib_head(body)
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32 if headed else -zlib.MAX_WBITS)
    try:
        unpacked = unpacker.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise BadRequest("The request body is not valid in its content encoding") from error
    if len(unpacked) > max_bytes:
        raise RequestEntityTooLarge
    if not unpacker.eof or unpacker.unused_data:
        raise BadRequest("The request body is not valid in its content encoding")
    return unpacked


def _has_zlib_head(body: bytes) -> bool:
    return len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0


def _decode(body: bytes, charset: str) -> str:
    try:
        return codecs.decode(body, charset).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise BadRequest("The request body is not valid in its charset") from error


def _parse(text: str) -> Any:
    if text.lstrip(_BLANKS)[:1] not in ("{", "["):
        raise BadRequest("The request body is not a JSON object")
    try:
        value = json.loads(
            text, parse_int=javascript.number, parse_float=javascript.number, parse_constant=_no_json
        )
    except (ValueError, RecursionError) as error:
        raise BadRequest("The request body is not valid JSON") from error
    if _is_deeper(value, MAX_DEPTH):
        raise BadRequest("The request body is nested too deeply")
    return value


def _no_json(literal: str) -> None:
    raise ValueError(f"{literal} is not JSON")


def _is_deeper(value: Any, depth: int) -> bool:
    layer = [value]
    for _ in range(depth):
        layer = [inner for outer in layer for inner in _children(outer)]
        if not layer:
            return False
    return True


def _children(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [item for item in inner if isinstance(item, dict | list)]
