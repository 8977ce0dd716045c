"""The errors that the services raise on purpose. HTTP statuses are known at the edge (`service_kit.http`) only."""


class AppError(Exception):
    """An expected failure: `code` is stable and for machines, `message` is for people and never shows a cause."""

    code = "error"
    default_message = "The request could not be processed"
    bare = False
    """Answered with `success` and `message` alone, because the legacy server answered it so."""

    def __init__(self, message: str | None = None, *, code: str | None = None) -> None:
        self.message = message or self.default_message
        self.code = code or type(self).code
        super().__init__(self.message)


class Invalid(AppError):
    """The request is understood and wrong; the same request will be wrong again."""

    code = "invalid_request"
    default_message = "The request is not valid"


class Unauthenticated(AppError):
    """Nobody, or nobody known, is asking."""

    code = "unauthenticated"
    default_message = "Access token required"


class Forbidden(AppError):
    """Somebody known is asking for what is not theirs."""

    code = "forbidden"
    default_message = "Access denied"


class NotFound(AppError):
    """What was asked for does not exist, or not for this caller."""

    code = "not_found"
    default_message = "Not found"


class Conflict(AppError):
    """The request contradicts the present state."""

    code = "conflict"
    default_message = "The request conflicts with the present state"


class TooManyRequests(AppError):
    """A limit was met. `retry_after` is in seconds."""

    code = "too_many_requests"
    default_message = "Too many requests"

    def __init__(self, message: str | None = None, *, code: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class Unavailable(AppError):
    """A dependency is away; the same request may succeed later. `retry_after` is in seconds."""

    code = "unavailable"
    default_message = "Service temporarily unavailable"

    def __init__(self, message: str | None = None, *, code: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after
