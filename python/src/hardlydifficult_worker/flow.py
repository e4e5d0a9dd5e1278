"""How much waits for the socket, and which generators wait until it is less. Used from every thread."""

from __future__ import annotations

import threading
from concurrent.futures import Future

ROOM_BYTES = 1024 * 1024


class Backlog:
    """Bytes that wait for the socket. A generator is asked for more only while they are below the limit."""

    def __init__(self, limit: int = ROOM_BYTES) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._waiting = 0
        self._waiters: list[Future[None]] = []

    @property
    def waiting(self) -> int:
        """How many bytes wait."""
        return self._waiting

    def add(self, size: int) -> None:
        """Bytes wait from now on."""
        with self._lock:
            self._waiting += size

    def remove(self, size: int) -> None:
        """Bytes were handed to the socket, or dropped."""
        with self._lock:
            self._waiting -= size
            if self._waiting >= self._limit or not self._waiters:
                return
            waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            # False for one that was cancelled meanwhile.
            if waiter.set_running_or_notify_cancel():
                waiter.set_result(None)

    def room(self) -> Future[None] | None:
        """Return None while there is room, else a future that is done once there is. It may be cancelled."""
        with self._lock:
            if self._waiting < self._limit:
                return None
            waiter: Future[None] = Future()
            self._waiters.append(waiter)
            return waiter
