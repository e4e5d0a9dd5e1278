"""Signal handlers for as long as a worker runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any


class SignalHandlers:
    """Calls a function for each of some signals, from `install` to `restore`.

    They are Python's own handlers and not the event loop's: they also run while a handler holds the loop. What they
    call may interrupt anything, so it takes no lock.
    """

    def __init__(self, signals: Sequence[signal.Signals], on_signal: Callable[[str], object]) -> None:
        self._signals = signals
        self._on_signal = on_signal
        self._previous: list[tuple[signal.Signals, Any]] = []

    def install(self) -> None:
        """Take the signals. Only the main thread can: elsewhere this does nothing."""
        if threading.current_thread() is not threading.main_thread():
            return
        for each in self._signals:
            self._previous.append((each, signal.signal(each, self._handle)))

    def restore(self) -> None:
        """Put back what was there before."""
        while self._previous:
            each, previous = self._previous.pop()
            # None: a handler that was not installed from Python, which can't be put back.
            signal.signal(each, signal.SIG_DFL if previous is None else previous)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._on_signal(signal.Signals(number).name)


def block_signals_in_this_thread() -> None:
    """Leave signals to the main thread: one that another thread receives does not wake it."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
