"""Whether a heartbeat's answer is overdue. Pure: the clock is an argument."""

from __future__ import annotations

import math
from collections import deque

DEFAULT_INTERVAL = 15.0
SHORTEST_INTERVAL = 0.01
SHORTEST_LATENESS = 5.0


def interval_from_ms(value: object) -> float:
    """Return the seconds between heartbeats from the registration's ack, the protocol's default if it isn't usable."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        return DEFAULT_INTERVAL
    try:
        return max(value / 1000, SHORTEST_INTERVAL)
    except OverflowError:
        return math.inf


class Heartbeats:
    """The heartbeats that were written and not yet answered, and since when the socket takes nothing."""

    def __init__(self, interval: float, now: float) -> None:
        self.interval = interval
        self.lateness = max(interval, SHORTEST_LATENESS)
        self._unanswered: deque[tuple[str, float]] = deque()
        self._written: tuple[int, int] = (0, 0)
        self._written_at = now

    def sent(self, timestamp: str, now: float) -> None:
        """A heartbeat was handed to the socket."""
        self._unanswered.append((timestamp, now + self.lateness))

    def acknowledged(self, timestamp: object) -> None:
        """An answer came. It also answers whatever was sent before, since messages don't overtake each other."""
        if not any(sent == timestamp for sent, _ in self._unanswered):
            # Whose answer it is can't be seen: it is the oldest's.
            if self._unanswered:
                self._unanswered.popleft()
            return
        while self._unanswered.popleft()[0] != timestamp:
            pass

    def progress(self, written: tuple[int, int], waiting: bool, now: float) -> None:
        """Note what the socket has taken (frames written, bytes still buffered), and whether anything waits for it."""
        if written != self._written or not waiting:
            self._written = written
            self._written_at = now

    def shift(self, seconds: float) -> None:
        """The process did not run for so long: that does not count as the server's silence."""
        self._unanswered = deque((timestamp, deadline + seconds) for timestamp, deadline in self._unanswered)
        self._written_at += seconds

    def deadline(self) -> float:
        """When the connection is lost if nothing comes until then."""
        oldest = self._unanswered[0][1] if self._unanswered else math.inf
        return min(oldest, self._written_at + self.lateness)

    def overdue(self, now: float) -> bool:
        """Whether the connection is lost."""
        return now >= self.deadline()
