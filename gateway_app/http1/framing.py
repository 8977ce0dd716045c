"""Cuts the bytes of a client connection into requests, and refuses whatever two parsers could read differently.

Pure: bytes in, `Request` objects out. Strict where RFC 9112 leaves a choice, because a gateway that guesses lets
one client slip a second request past its checks (request smuggling): one Content-Length at most, never beside a
Transfer-Encoding, no coding but `chunked`, CRLF line ends only, one Host. Field names with an underscore are
dropped: in WSGI `X_User_Id` and `X-User-Id` become the same key.
"""

import re
from dataclasses import dataclass, field

MAX_TARGET_BYTES = 8 * 1024
MAX_HEADER_BYTES = 16 * 1024
MAX_HEADERS = 100
MAX_REQUEST_LINE_BYTES = MAX_TARGET_BYTES + 64
MAX_KNOWN_NAMES = 512

_REQUEST_LINE = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e]+) HTTP/(\d)\.(\d)")
_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ALLOWED = bytes(byte for byte in range(256) if byte == 9 or (byte >= 32 and byte != 127))
_LENGTH = re.compile(r"[0-9]{1,18}")


class Refused(Exception):
    """The client's bytes are not a request that we accept; the connection ends with this answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(slots=True)
class Request:
    """One request. `fields` has WSGI's names (`HTTP_ACCEPT`, `CONTENT_TYPE`); repeated ones are joined by commas.

    `length` is None when there is no body, -1 for a chunked one. With `too_large`, the body was not read.
    """

    method: str
    target: str
    minor_version: int
    fields: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    keep_alive: bool = True
    expects_continue: bool = False
    body: bytes = b""
    too_large: bool = False


_names: dict[str, str] = {}


def field_key(name: str) -> str:
    """WSGI's key for a field name, empty for a name with an underscore; Refused when it is no name at all."""
    key = _names.get(name)
    if key is not None:
        return key
    if not _FIELD_NAME.fullmatch(name):
        raise Refused(400, "bad_header", "A header field is malformed")
    upper = name.upper().replace("-", "_")
    key = upper if upper in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{upper}"
    if "_" in name:
        key = ""
    if len(_names) < MAX_KNOWN_NAMES:
        _names[name] = key
    return key


def parse_head(head: bytes) -> Request:
    """The request whose head (request line and fields, without the empty line) these bytes are."""
    if head.replace(b"\r\n", b"").translate(None, _ALLOWED):
        raise Refused(400, "bad_request", "The request is malformed")
    first, *lines = head.decode("latin-1").split("\r\n")
    request = _parse_request_line(first)
    if len(lines) > MAX_HEADERS:
        raise Refused(431, "headers_too_large", "Too many header fields")
    fields = request.fields
    for line in lines:
        name, colon, value = line.partition(":")
        key = field_key(name)
        if not colon:
            raise Refused(400, "bad_header", "A header field is malformed")
        if key in fields:
            _repeat(fields, key, value.strip(" \t"))
        elif key:
            fields[key] = value.strip(" \t")
    _frame(request)
    return request


def _parse_request_line(line: str) -> Request:
    match = _REQUEST_LINE.fullmatch(line)
    if not match:
        raise Refused(400, "bad_request", "The request line is malformed")
    method, target, major, minor = match.groups()
    if major != "1":
        raise Refused(505, "http_version", "This server speaks HTTP/1.1")
    if len(target) > MAX_TARGET_BYTES:
        raise Refused(414, "uri_too_long", "The address is too long")
    return Request(method, target, 1 if minor != "0" else 0)


def _repeat(fields: dict[str, str], key: str, value: str) -> None:
    if key in ("CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "HTTP_HOST"):
        raise Refused(400, "ambiguous_framing", "A header field that may appear once appears twice")
    fields[key] += f"; {value}" if key == "HTTP_COOKIE" else f", {value}"


def _frame(request: Request) -> None:
    """Decides where the body ends and whether the connection goes on."""
    fields = request.fields
    if "HTTP_HOST" not in fields and request.minor_version:
        raise Refused(400, "bad_request", "The Host header is missing")
    length, coding = fields.get("CONTENT_LENGTH"), fields.pop("HTTP_TRANSFER_ENCODING", None)
    if coding is not None:
        if length is not None or not request.minor_version or coding.lower() != "chunked":
            raise Refused(400, "ambiguous_framing", "The length of the request is ambiguous")
        request.length = -1
    elif length is not None:
        if not _LENGTH.fullmatch(length):
            raise Refused(400, "ambiguous_framing", "The Content-Length is malformed")
        request.length = int(length)
    connection = fields.get("HTTP_CONNECTION")
    if connection is None:
        request.keep_alive = bool(request.minor_version)
    else:
        options = {option.strip() for option in connection.lower().split(",")}
        request.keep_alive = "close" not in options if request.minor_version else "keep-alive" in options
    expect = fields.pop("HTTP_EXPECT", None)
    if expect is not None:
        if expect.lower() != "100-continue":
            raise Refused(417, "expectation_failed", "The Expect header asks for something unknown")
        request.expects_continue = bool(request.minor_version)
