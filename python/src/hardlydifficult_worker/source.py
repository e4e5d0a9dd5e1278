"""A value that is given, or asked of a function on the program's thread at each connect."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from .program import Program
from .within import within

T = TypeVar("T")

BLOCKED_AFTER = 1.0
PATIENCE = 10.0


class FunctionFailed(Exception):
    """A function of the program that the connection needs raised, or returned nonsense."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Source(Generic[T]):
    """What to use for the next connection. While the program's thread is blocked that is what it gave last."""

    def __init__(self, given: Any, check: Callable[[Any], T], name: str) -> None:
        self._function: Callable[[], Any] | None = given if callable(given) else None
        self._check = check
        self._name = name
        self.last: T | None = None if callable(given) else given
        """What was used last; None before a function was asked for the first time."""
        self._asked_before = False

    @property
    def is_function(self) -> bool:
        """Whether it may have another value next time."""
        return self._function is not None

    def set(self, value: T) -> None:
        """Use this value from now on, and call no function."""
        self._function = None
        self.last = value

    async def value(self, program: Program, *, insist: bool = False) -> T:
        """Return the value. Awaited on the connection's loop. Raises FunctionFailed.

        `insist` waits for the function however long the program is blocked.
        """
        if self._function is None:
            return self._last()
        try:
            answer = await self._ask(self._function, program, insist or not self._asked_before)
            self.last = self._check(answer)
        except _Blocked:
            return self._last()
        except Exception as error:
            raise FunctionFailed(error) from None
        self._asked_before = True
        return self._last()

    async def _ask(self, function: Callable[[], Any], program: Program, insist: bool) -> Any:
        loop = asyncio.get_running_loop()
        started = asyncio.Event()

        def tell_started() -> None:
            # The connection may be gone by the time the program gets here.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(started.set)

        answer: Future[Any] = Future()
        if not program.call(function, tell_started, answer):
            raise RuntimeError(f"{self._name} can't be asked: the program's event loop is closed")
        waiting = asyncio.wrap_future(answer)
        try:
            if not insist:
                try:
                    await within(BLOCKED_AFTER, started.wait())
                except TimeoutError:
                    raise _Blocked from None
                await asyncio.wait({waiting}, timeout=PATIENCE)
                if not waiting.done():
                    raise _Blocked
            return await waiting
        finally:
            # The program skips a call whose result isn't awaited any more.
            waiting.cancel()

    def _last(self) -> T:
        value: Any = self.last
        last: T = value
        return last


class _Blocked(Exception):
    """The program's thread doesn't answer."""
