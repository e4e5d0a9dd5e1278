"""Running a handler of any of the four kinds: coroutines on the program's loop, plain functions in a thread each."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import CancelledError as FutureCancelled
from concurrent.futures import Future
from typing import Any, TypeAlias

from .context import RequestContext
from .errors import RequestError
from .flow import Backlog
from .log import Log
from .program import Program
from .wire import IncomingRequest, error_message, request_message

HandlerFunction: TypeAlias = Callable[[Any, RequestContext], Any]


class _Aborted(BaseException):
    """Ends a handler in a thread that was cancelled. No handler should catch it by accident."""


def runs_on_loop(function: Callable[..., Any]) -> bool:
    """Whether a function is a coroutine function or an async generator function: all else gets a thread."""
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function):
        function = getattr(function, "__call__", function)  # noqa: B004 - what its instances do when called
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


class Call:
    """One run of the handler.

    `on_chunk` and `on_finished` are called from the thread that the handler runs on. The latter comes once, when the
    handler has returned, with the request's last message, or None if it was ended by its cancellation.
    """

    def __init__(
        self,
        function: HandlerFunction,
        request: IncomingRequest,
        context: RequestContext,
        *,
        program: Program,
        backlog: Backlog,
        log: Log,
        on_chunk: Callable[[bytes], None],
        on_finished: Callable[[bytes | None], None],
    ) -> None:
        self._function = function
        self._request = request
        self._context = context
        self._program = program
        self._backlog = backlog
        self._log = log
        self._on_chunk = on_chunk
        self._on_finished = on_finished
        self._next_seq = 0
        self._task: asyncio.Task[Any] | None = None
        self._waits_for: Future[Any] | None = None

    def start(self) -> None:
        """Start the handler. Called on the connection's thread."""
        if runs_on_loop(self._function):
            if not self._program.post(self._start_task):
                self._on_finished(None)
            return
        try:
            threading.Thread(target=self._run_in_thread, name="worker-handler", daemon=True).start()
        except RuntimeError as error:
            self._finish_with_error(error)

    def cancel(self) -> None:
        """Cancel the task, or wake the thread where it waits. The context is marked already."""
        waits_for = self._waits_for
        if waits_for is not None:
            waits_for.cancel()
        self._program.post(self._cancel_task)

    # On the program's loop

    def _start_task(self) -> None:
        if self._context.cancelled:
            self._on_finished(None)
            return
        self._task = self._program.create_task(self._run())
        self._task.add_done_callback(self._task_done)

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> Any:
        return await self._follow(self._function(self._request.payload, self._context))

    async def _follow(self, value: Any) -> Any:
        """Await a coroutine, or send what an async generator yields. Anything else is the result itself."""
        if inspect.isasyncgen(value):
            return await self._drain_async(value)
        return await value if inspect.isawaitable(value) else value

    async def _drain_async(self, generator: AsyncGenerator[Any, Any]) -> Any:
        try:
            async for item in generator:
                if self._context.cancelled:
                    raise asyncio.CancelledError
                self._emit(item)
                room = self._backlog.room() if self._request.stream else None
                # A generator that never waits must let the loop turn, or nothing could cancel it.
                await (asyncio.sleep(0) if room is None else asyncio.wrap_future(room))
        finally:
            await generator.aclose()
        return None

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self._finish_cancelled()
        elif (error := task.exception()) is not None:
            self._finish_with_error(error)
        else:
            self._finish_with_result(task.result())

    # In a thread of the handler's own

    def _run_in_thread(self) -> None:
        try:
            if self._context.cancelled:
                raise _Aborted
            result = self._program.run_in_context(self._call_in_thread)
        except (_Aborted, FutureCancelled, asyncio.CancelledError):
            self._finish_cancelled()
        except BaseException as error:
            self._finish_with_error(error)
        else:
            self._finish_with_result(result)

    def _call_in_thread(self) -> Any:
        value = self._function(self._request.payload, self._context)
        if inspect.isgenerator(value):
            return self._drain(value)
        if inspect.isasyncgen(value) or inspect.isawaitable(value):
            result: Future[Any] = Future()
            self._program.post(self._follow_for_thread, value, result)
            return result.result()
        return value

    def _follow_for_thread(self, value: Any, result: Future[Any]) -> None:
        """Run on the loop what a plain function returned. The thread waits until it has ended, cancelled or not."""

        def settle(task: asyncio.Task[Any]) -> None:
            if task.cancelled():
                result.set_exception(_Aborted())
            elif (error := task.exception()) is not None:
                result.set_exception(error)
            else:
                result.set_result(task.result())

        self._task = self._program.create_task(self._follow(value))
        self._task.add_done_callback(settle)
        if self._context.cancelled:
            self._task.cancel()

    def _drain(self, generator: Generator[Any, Any, Any]) -> Any:
        try:
            while True:
                try:
                    item = next(generator)
                except StopIteration as stop:
                    return stop.value
                if self._context.cancelled:
                    raise _Aborted
                self._emit(item)
                room = self._backlog.room() if self._request.stream else None
                if room is not None:
                    self._wait(room)
        finally:
            generator.close()

    def _wait(self, future: Future[Any]) -> None:
        """Wait for a future, which the request's cancellation cancels."""
        self._waits_for = future
        if self._context.cancelled:
            future.cancel()
        future.result()

    # On either

    def _emit(self, item: Any) -> None:
        if self._request.stream:
            self._on_chunk(request_message("request_chunk", self._request.key, seq=self._next_seq, data=item))
            self._next_seq += 1

    def _finish_with_result(self, returned: Any) -> None:
        try:
            frame = request_message("request_result", self._request.key, data=self._context._final(returned))
        except Exception as error:
            self._finish_with_error(error)
        else:
            self._on_finished(frame)

    def _finish_with_error(self, error: BaseException) -> None:
        if not isinstance(error, RequestError):
            self._log.error("Error in handler of request %s", self._request.request_id, error=error)
        self._on_finished(error_message(self._request.key, error))

    def _finish_cancelled(self) -> None:
        if self._context.cancelled:
            self._on_finished(None)
        else:
            self._finish_with_error(RequestError("the handler was cancelled"))
