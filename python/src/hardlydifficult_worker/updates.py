"""Updates of the capabilities that the server has not answered yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from .options import capacity_of
from .source import Source


class Updates:
    """The answers that `update()` waits for, in the order in which the server sends them."""

    def __init__(self, capabilities: Source[dict[str, Any]], redact: Callable[[str], str]) -> None:
        self._capabilities = capabilities
        self._redact = redact
        self._waiting: deque[tuple[Future[None], dict[str, Any]]] = deque()
        self._registered: dict[str, Any] = {}

    @property
    def capacity(self) -> float:
        """How many handlers may run: requests that a greater capacity brings may come before its answer."""
        known = [self._registered, *(capabilities for _, capabilities in self._waiting)]
        return max(capacity_of(capabilities) for capabilities in known)

    def registered(self, capabilities: dict[str, Any]) -> None:
        """A registration with these capabilities was accepted."""
        self._registered = capabilities

    def sent(self, answer: Future[None], capabilities: dict[str, Any]) -> None:
        """An update was sent."""
        self._waiting.append((answer, capabilities))

    def keep(self, answer: Future[None], capabilities: dict[str, Any]) -> None:
        """There is no connection that takes the update: it counts from the next registration."""
        self._capabilities.set(capabilities)
        resolve(answer)

    def answered(self, message: dict[str, Any]) -> None:
        """A `worker_update_ack` came."""
        if not self._waiting:
            return
        answer, capabilities = self._waiting.popleft()
        if message.get("success") is True:
            self._registered = capabilities
            self.keep(answer, capabilities)
        else:
            error = message.get("error")
            resolve(answer, ValueError(self._redact(error) if isinstance(error, str) else "Invalid update"))

    def lost(self) -> None:
        """The connection is gone, and with it every answer."""
        while self._waiting:
            self.keep(*self._waiting.popleft())


def resolve(answer: Future[None], error: Exception | None = None) -> None:
    """Settle a future, unless it was cancelled meanwhile."""
    if not answer.set_running_or_notify_cancel():
        return
    if error is None:
        answer.set_result(None)
    else:
        answer.set_exception(error)
