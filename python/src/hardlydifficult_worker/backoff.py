"""When to connect again: pure decisions about what became of a connection. No I/O, no clock."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from .errors import WorkerRejected

REPLACED = "Replaced by new connection"

# How the `error` of a refused registration begins, and the close that follows it.
_REFUSALS: tuple[tuple[str, int, str], ...] = (
    ("Invalid authentication token", 4001, "Authentication failed"),
    ("Invalid registration", 4002, "Invalid registration"),
)


@dataclass(frozen=True)
class Loss:
    """How an attempt to connect, or a connection, ended."""

    code: int = 1006
    """The close code that the server sent; 1006 if it sent none."""
    reason: str = ""
    detail: str | None = None
    """The `error` of a registration's ack that was not a success."""
    error: Exception | None = None
    """What is raised when this was the last attempt."""
    retry_after: float | None = None
    """Seconds: `Retry-After` of an upgrade that was refused with 429 or 503."""
    reconnect_after: float | None = None
    """Seconds: what the server drew for this worker in `server_draining`."""
    registered: bool = False

    def last_error(self) -> Exception:
        """What `run()` raises if nothing more is tried."""
        if self.error is not None:
            return self.error
        if self.code == 1006:
            return ConnectionError("the connection was lost")
        return ConnectionError(f"the server closed the connection: {self.code} {self.reason}".rstrip())

    def rejection(self) -> WorkerRejected | None:
        """What says that trying again can't help. A refused token is the caller's to judge: it may have another."""
        code, reason = self.code, self.reason
        if code < 4000 and self.detail is not None:
            # The close frame that should have followed got lost.
            for start, its_code, its_reason in _REFUSALS:
                if self.detail.startswith(start):
                    code, reason = its_code, its_reason
        if code in (4001, 4002) or (code == 4003 and reason == REPLACED):
            return WorkerRejected(code, reason or self.detail or "", self.detail)
        return None

    @property
    def let_go(self) -> bool:
        """Whether the server closed on purpose and wants this worker no more."""
        return self.code == 1000


class Backoff:
    """Full jitter, doubling: the wait after the n-th failure in a row is uniform in 0 to initial × 2^(n-1)."""

    def __init__(
        self,
        initial: float,
        longest: float,
        max_attempts: float,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._initial = initial
        self._longest = longest
        self._max_attempts = max_attempts
        self._uniform = uniform
        self._failures = 0
        self._waits = 0

    def next_delay(self, loss: Loss) -> float | None:
        """Return the seconds to wait, or None if no further attempt is allowed.

        The loss of a connection that was registered ends a row of failures, and is no failure itself.
        """
        if loss.registered:
            self._failures = self._waits = 0
            if self._max_attempts == 0:
                return None
        else:
            self._failures += 1
            if self._failures >= self._max_attempts:
                return None
        self._waits += 1
        if loss.reconnect_after is not None:
            return loss.reconnect_after
        # 2^1023 is the largest power of two that a float holds.
        longest = min(self._longest, self._initial * 2.0 ** min(self._waits - 1, 1000))
        jitter = self._uniform(0, longest)
        # The jitter comes on top: a fleet that was refused together should not come back together.
        return jitter if loss.retry_after is None else loss.retry_after + jitter


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds of a `Retry-After` header: a number of them, or a date. None if it is missing or malformed."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return max(0.0, (date - (now or datetime.now(timezone.utc))).total_seconds())
