"""The exceptions that this package raises, or that its users raise."""

from __future__ import annotations


class OptionError(TypeError, ValueError):
    """An option or argument is wrong. It is a `TypeError` and a `ValueError`, names the option, and holds no secret."""


class RequestError(Exception):
    """Raised by a handler to end its request with an error that the caller can distinguish from others.

    `code` is for programs, `retryable` allows the server to try the request again (if its caller asked for more than
    one attempt), and `data` is any JSON value.
    """

    def __init__(
        self, message: str, *, code: str | None = None, retryable: bool = False, data: object | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.retryable = retryable
        self.data = data


class WorkerRejected(Exception):
    """The server will not have this worker, and trying again would change nothing.

    `code` is the close code: 4001 (the token), 4002 (the registration) or 4003 (another process has this id).
    `reason` is the reason of the close frame.
    """

    def __init__(self, code: int, reason: str, detail: str | None = None) -> None:
        told = f": {detail}" if detail and detail != reason else ""
        super().__init__(f"the server rejected the worker: {code} {reason}{told}")
        self.code = code
        self.reason = reason
