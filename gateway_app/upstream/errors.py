"""Why a service gave no answer, told by what a caller has to know: may the request be sent again?"""


class UpstreamError(Exception):
    """No answer. With `sent` the service may have acted on the request; otherwise it provably has not."""

    def __init__(self, message: str, *, sent: bool, refused: bool = False, timed_out: bool = False) -> None:
        super().__init__(message)
        self.sent = sent
        self.refused = refused
        """Nobody listens there."""
        self.timed_out = timed_out


class NoInstance(Exception):
    """No instance of the service can be asked now; nothing has been sent."""
