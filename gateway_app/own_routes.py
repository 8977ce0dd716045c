"""Runs the gateway's own routes, a Flask application, in threads beside the event loop."""

import asyncio
import io
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gateway_app.answers import Answer
from gateway_app.http1.framing import Request

THREADS = 8

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
"""A WSGI application."""


class OwnRoutes:
    """Answers a request through a WSGI application. `stop` ends the threads."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="own-routes")

    async def answer(self, request: Request, path: str, known: Mapping[str, Any]) -> Answer:
        """The application's answer to a request of `path`; it finds what is `known` in its environ."""
        environ = {**_environ(request, path), **known}
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, environ)

    def stop(self) -> None:
        """Ends the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _run(self, environ: dict[str, Any]) -> Answer:
        answer = Answer(500, has_cors=True)

        def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
            answer.status = int(status[:3])
            answer.headers = [field for field in headers if field[0].lower() != "content-length"]

        result = self._application(environ, start_response)
        try:
            answer.body = b"".join(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        return answer


def _environ(request: Request, path: str) -> dict[str, Any]:
    return {
        **request.fields,
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": request.target.partition("?")[2],
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "gateway",
        "SERVER_PORT": "80",
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
