"""Between a parsed request and a WSGI application: the environ, and the bytes of the answer."""

import io
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote_to_bytes

from gateway_app.http1.framing import Request

Headers = list[tuple[str, str]]
Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

BODILESS = ("1", "204", "304")
"""Answers with these statuses never have a body."""


def environ_of(request: Request, peer: tuple[str, int], server: tuple[str, int]) -> Environ:
    """The WSGI environ of a request, plus `RAW_URI` (the target as it came) and `gateway.body_too_large`."""
    path, _, query = request.target.partition("?")
    environ: Environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1") if "%" in path else path,
        "RAW_URI": request.target,
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1" if request.minor_version else "HTTP/1.0",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "REMOTE_ADDR": peer[0],
        "REMOTE_PORT": str(peer[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "gateway.body_too_large": request.too_large,
    }
    environ.update(request.fields)
    if request.length is not None:
        environ["CONTENT_LENGTH"] = str(len(request.body))
    return environ


class Reply:
    """Collects what a WSGI application answers and turns it into bytes, with the `fixed` lines in every head."""

    __slots__ = ("fixed", "headers", "keep_alive", "request", "status")

    def __init__(self, request: Request, keep_alive: bool, fixed: str = "") -> None:
        self.request = request
        self.keep_alive = keep_alive
        self.fixed = fixed
        self.status = ""
        self.headers: Headers = []

    def start(self, status: str, headers: Headers, _exc_info: Any = None) -> None:
        """WSGI's `start_response`."""
        self.status = status
        self.headers = headers

    def parts(self, body: Iterable[bytes]) -> Iterator[bytes]:
        """The answer, piece by piece; the first piece has the head and, when it is known, the body."""
        if self.request.method == "HEAD" or self.status.startswith(BODILESS):
            yield self._head(None)
        elif isinstance(body, list):
            whole = body[0] if len(body) == 1 else b"".join(body)
            yield self._head(len(whole)) + whole
        elif any(name in _LENGTH_NAMES for name, _ in self.headers):
            yield self._head(None)
            yield from body
        else:
            yield from self._chunked(body)

    def _chunked(self, body: Iterable[bytes]) -> Iterator[bytes]:
        """A body whose length nobody knows: in chunks, or up to the end of the connection for HTTP/1.0."""
        if not self.request.minor_version:
            self.keep_alive = False
            yield self._head(None)
            yield from body
            return
        self.headers = [*self.headers, ("Transfer-Encoding", "chunked")]
        yield self._head(None)
        for chunk in body:
            if chunk:
                yield b"%x\r\n%b\r\n" % (len(chunk), chunk)
        yield b"0\r\n\r\n"

    def _head(self, length: int | None) -> bytes:
        """`length` replaces what the application says of it."""
        lines = [f"HTTP/1.1 {self.status}"]
        for name, value in self.headers:
            if length is None or name not in _LENGTH_NAMES:
                lines.append(f"{name}: {value}")
        if length is not None:
            lines.append(f"Content-Length: {length}")
        lines.append(http_date())
        if not self.keep_alive:
            lines.append("Connection: close")
        elif not self.request.minor_version:
            lines.append("Connection: keep-alive")
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
            raise ValueError("a header value holds a line break")
        return f"{head}\r\n{self.fixed}\r\n".encode("latin-1")


def header_block(headers: Headers) -> str:
    """Header lines that every answer carries, rendered once."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers)


_LENGTH_NAMES = frozenset(("Content-Length", "content-length"))
_date = (0, "")


def http_date() -> str:
    """The `Date` field, made once a second."""
    global _date
    now = int(time.time())
    if _date[0] != now:
        _date = (now, f"Date: {formatdate(now, usegmt=True)}")
    return _date[1]
