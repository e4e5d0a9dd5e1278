"""The program's side: its event loop, on which handlers and functions run, reached from the connection's thread."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

LAST_CHANCE_SECONDS = 1.0
"""How long a cancelled task may take to end before it is left behind."""


class Program:
    """The event loop that `serve()` runs on."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._tasks: set[asyncio.Task[Any]] = set()

    def post(self, function: Callable[..., object], *args: Any) -> bool:
        """Call a function on the program's thread. False if its loop is closed, and nothing will run there any more."""
        try:
            self.loop.call_soon_threadsafe(function, *args, context=self._context.copy())
        except RuntimeError:
            return False
        return True

    def run_in_context(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function on this thread, with the context variables that `serve()` was called with."""
        return self._context.copy().run(function, *args)

    def create_task(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task. Called on the program's thread."""
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def call(self, function: Callable[[], Any], started: Callable[[], object], result: Future[Any]) -> bool:
        """Call a function, awaiting what it returns if need be. False if the loop is closed."""
        return self.post(self._call, function, started, result)

    def _call(self, function: Callable[[], Any], started: Callable[[], object], result: Future[Any]) -> None:
        # False: its result isn't awaited any more.
        if not result.set_running_or_notify_cancel():
            return
        started()
        try:
            value = function()
        except Exception as error:
            result.set_exception(error)
            return
        if inspect.isawaitable(value):
            self.create_task(_settle(value, result))
        else:
            result.set_result(value)

    async def finish(self) -> None:
        """Cancel what still runs on the program's loop, and wait a little for it."""
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=LAST_CHANCE_SECONDS)


async def _settle(value: Any, result: Future[Any]) -> None:
    try:
        outcome = await value
    except asyncio.CancelledError:
        result.set_exception(RuntimeError("cancelled"))
        raise
    except Exception as error:
        result.set_exception(error)
    else:
        result.set_result(outcome)


def run_to_end(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on a loop of its own, as `asyncio.run` does, but wait for no task that will not be cancelled."""
    loop = asyncio.new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        main = loop.create_task(coroutine)
        try:
            loop.run_until_complete(main)
        except BaseException:
            # KeyboardInterrupt, for one: the coroutine gets its chance to leave properly.
            main.cancel()
            if not main.done():
                with contextlib.suppress(asyncio.CancelledError):
                    loop.run_until_complete(main)
            raise
    finally:
        try:
            rest = asyncio.all_tasks(loop)
            for task in rest:
                task.cancel()
            if rest:
                loop.run_until_complete(asyncio.wait(rest, timeout=LAST_CHANCE_SECONDS))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            loop.close()
