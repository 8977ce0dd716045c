"""The bytes of an answer."""

import time
from email.utils import formatdate

from gateway_app.http1.framing import Request

Headers = list[tuple[str, str]]
Reply = tuple[str, Headers, bytes]
"""Status and phrase (`200 OK`), header fields without `Content-Length`, and the body."""


def header_block(headers: Headers) -> str:
    """Header lines that every answer carries, rendered once."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers)


def render(request: Request, reply: Reply, fixed: str, *, keep_alive: bool) -> bytes:
    """The answer to a request, with the lines of `fixed`. HEAD gets no body; 204, 304 and an answer to HEAD whose body
    nobody has made do not get its length either.
    """
    status, headers, body = reply
    lines = [f"HTTP/1.1 {status}"]
    for name, value in headers:
        lines.append(f"{name}: {value}")
    if status[:3] in ("204", "304"):
        body = b""
    elif body or request.method != "HEAD":
        lines.append(f"Content-Length: {len(body)}")
    lines.append(_date_line())
    if not keep_alive:
        lines.append("Connection: close")
    elif not request.minor_version:
        lines.append("Connection: keep-alive")
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise ValueError("a header value holds a line break")
    encoded = f"{head}\r\n{fixed}\r\n".encode("latin-1", "replace")
    return encoded if request.method == "HEAD" else encoded + body


_date = (0, "")


def _date_line() -> str:
    """The `Date` field, made once a second."""
    global _date
    now = int(time.time())
    if _date[0] != now:
        _date = (now, f"Date: {formatdate(now, usegmt=True)}")
    return _date[1]
