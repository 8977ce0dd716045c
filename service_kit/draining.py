"""Leaving without a failed request: a service says that it will end, and serves on until the gateways know.

A server that closes its port at the signal cuts what is on its way over kept-alive connections, and a write that was
cut may have been done: nobody dares to send it again. So for a moment (`DRAIN_NOTICE_SECONDS`) every answer says
`X-Draining` and ends its connection, and /readyz answers 503. Then nothing comes any more, and the port is closed.
"""

import signal

from flask import Flask, Response

HEADER = "X-Draining"
SIGNAL = signal.SIGUSR1
"""What the process that runs the service's server tells its worker with."""


class Draining:
    """Whether the service is about to end."""

    def __init__(self) -> None:
        self.begun = False

    def begin(self, *_: object) -> None:
        """From now on; may be a signal's handler."""
        self.begun = True


def init_app(app: Flask) -> Draining:
    """Make every answer of `app` say so once draining has begun."""
    draining = Draining()

    def announce(response: Response) -> Response:
        if draining.begun:
            response.headers[HEADER] = "1"
            response.headers["Connection"] = "close"
        return response

    app.after_request(announce)
    app.extensions["draining"] = draining
    return draining
