"""What a handler is given beside the payload."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .wire import IncomingRequest

_UNSET = object()


class RequestContext:
    """One attempt of a request, as its handler sees it. Every member may be used from any thread."""

    def __init__(self, request: IncomingRequest, send_progress: Callable[[Any], None]) -> None:
        self.request_id: str = request.request_id
        """The request's id."""
        self.attempt: int = request.attempt
        """Which sending of the request this is, from 1."""
        self.model: str | None = request.model
        """The model that the caller asked for, None if any will do."""
        self.category: str | None = request.category
        """The category that the caller named."""
        self.trace: dict[str, str] | None = request.trace
        """The caller's trace context (`traceparent` and so on), None without one."""
        self._deadline = time.monotonic() + request.timeout
        self._send_progress = send_progress
        self._cancelled = False
        self._result: Any = _UNSET

    @property
    def cancelled(self) -> bool:
        """Whether the result isn't wanted any more. A handler in a thread should look at it now and then."""
        return self._cancelled

    @property
    def remaining(self) -> float:
        """Seconds until the request times out, `inf` if it never does."""
        return max(0.0, self._deadline - time.monotonic())

    def progress(self, data: Any) -> None:
        """Report to the caller how far the work is. Raises a TypeError or ValueError for what JSON can't hold.

        It is not kept: what is reported while there is no connection is lost.
        """
        self._send_progress(data)

    def set_result(self, value: Any) -> None:
        """Set the final value of an async generator, which can't return one."""
        self._result = value

    def _cancel(self) -> None:
        self._cancelled = True

    def _final(self, returned: Any) -> Any:
        return self._result if returned is None and self._result is not _UNSET else returned
