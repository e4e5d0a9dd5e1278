"""The worker, as a program uses it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import ssl as ssl_module
import threading
from collections.abc import Callable, Iterable, Mapping
from signal import SIGINT, SIGTERM
from typing import Any, Literal, TypeVar, cast, overload

from .errors import OptionError
from .handler import HandlerFunction
from .link import Link
from .log import Log, Logger
from .options import CapabilitiesSource, Models, TokenSource, capabilities_models, check_capabilities, check_options
from .program import Program, run_to_end
from .signals import SignalHandlers
from .source import Source
from .wire import encode

Function = TypeVar("Function", bound=Callable[..., Any])
State = Literal["idle", "connecting", "connected", "draining", "closed"]

# How long a connection that is being closed may take: its closing handshake has a limit of its own.
_CLOSE_SECONDS = 5.0


class Worker:
    """A worker of a WorkerServer: it registers, answers requests, and comes back when the connection is lost.

        worker = Worker("ws://localhost:19100", models=["echo"])

        @worker.handler()
        async def handle(payload, context):
            return payload

        worker.run()

    All durations are seconds. A wrong option raises an error that is both a TypeError and a ValueError.

    url: the server's, `ws:` or `wss:`. Credentials in it become Basic authentication of the upgrade.
    worker_id: the default is the host's name, the process id and four random digits, fixed for the process.
    worker_name: the default is the id.
    auth_token: a string, or a function (async or not) that is asked for one at each connect. It is sent in the
        registration, and as `Authorization: Bearer` with the upgrade.
    headers: further headers of the upgrade. An `Authorization` among them takes the token's place there.
    ssl: an `ssl.SSLContext` for a `wss:` URL. The default verifies the server.
    proxy: True takes HTTPS_PROXY (for `wss:`) or HTTP_PROXY, then ALL_PROXY, and heeds NO_PROXY; False takes none; a
        string is the URL of an HTTP proxy. Only `http:` proxies are supported. A loopback address is never reached
        through one.
    capabilities: what the worker registers with, or a function (async or not) that is asked at each connect.
    models, concurrency: short for capabilities: model ids (or dicts with a `modelId`), and how many requests may run at
        the same time.
    reconnect_initial_delay, reconnect_max_delay: the wait after the n-th failure in a row is random, between 0 and the
        initial delay × 2^(n-1), and never above the maximum.
    reconnect_max_attempts: after so many failures in a row `run()` raises the last error. With 0 a connection that is
        lost is not replaced. None: no limit.
    drain_timeout: how long running handlers have when the worker drains. `inf`: as long as they take.
    handle_signals: the first of these signals drains, a second closes at once. Empty: none is handled.
    logger: the default is the logger `hardlydifficult_worker`. No line holds a token.
    """

    def __init__(
        self,
        url: str,
        *,
        worker_id: str | None = None,
        worker_name: str | None = None,
        auth_token: TokenSource | None = None,
        headers: Mapping[str, str] | None = None,
        ssl: ssl_module.SSLContext | None = None,
        proxy: bool | str | None = True,
        capabilities: CapabilitiesSource | None = None,
        models: Models = (),
        concurrency: float = 1,
        reconnect_initial_delay: float = 1.0,
        reconnect_max_delay: float = 30.0,
        reconnect_max_attempts: int | None = None,
        drain_timeout: float = 30.0,
        handle_signals: Iterable[int] = (SIGINT, SIGTERM),
        logger: Logger | None = None,
    ) -> None:
        self._options = check_options(
            url,
            worker_id=worker_id,
            worker_name=worker_name,
            auth_token=auth_token,
            headers=headers,
            ssl=ssl,
            proxy=proxy,
            capabilities=capabilities,
            models=models,
            concurrency=concurrency,
            reconnect_initial_delay=reconnect_initial_delay,
            reconnect_max_delay=reconnect_max_delay,
            reconnect_max_attempts=reconnect_max_attempts,
            drain_timeout=drain_timeout,
            handle_signals=handle_signals,
        )
        if logger is not None and not isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
            raise OptionError("logger must be a logging.Logger")
        self._log = Log(logger or logging.getLogger("hardlydifficult_worker"))
        if self._options.url.userinfo is not None:
            self._log.hide(self._options.url.userinfo[1])
        self._capabilities = Source(self._options.capabilities, check_capabilities, "capabilities")
        self._handler: HandlerFunction | None = None
        self._message_handlers: dict[str, list[Callable[[dict[str, Any]], Any]]] = {}
        self._running = threading.Lock()
        self._link: Link | None = None
        self._closed = False

    @property
    def state(self) -> State:
        """`idle` before the first run, `connecting`, `connected`, `draining`, and `closed` after a run."""
        link = self._link
        if link is not None:
            return cast(State, link.state)
        return "closed" if self._closed else "idle"

    @overload
    def handler(self, function: Function) -> Function: ...

    @overload
    def handler(self) -> Callable[[Function], Function]: ...

    def handler(self, function: Function | None = None) -> Function | Callable[[Function], Function]:
        """Decorate the function that answers requests: it is called with `(payload, context)`.

        An async function or a plain one returns the result, a generator of either kind streams what it yields. Plain
        functions and plain generators run in a thread of their own.
        """

        def register(given: Function) -> Function:
            if not callable(given):
                raise OptionError("the handler must be a function of (payload, context)")
            if self._handler is not None:
                raise RuntimeError("the worker has a handler already")
            self._handler = given
            return given

        return register if function is None else register(function)

    def on_message(self, type: str) -> Callable[[Function], Function]:
        """Decorate a function that is called with each message of this type, outside of requests.

        A plain function runs on the event loop and should be quick; an async one gets a task of its own.
        """
        if not isinstance(type, str):
            raise OptionError("type must be a string")

        def register(function: Function) -> Function:
            self._message_handlers.setdefault(type, []).append(function)
            return function

        return register

    def run(self) -> None:
        """Run until the worker was drained, closed or let go.

        Raises WorkerRejected, or the last error when there were `reconnect_max_attempts` failures in a row.
        """
        if _inside_event_loop():
            raise RuntimeError("run() starts an event loop of its own: inside of one, use `await worker.serve()`")
        self._take_turn()
        try:
            run_to_end(self._serve())
        finally:
            self._running.release()

    async def serve(self) -> None:
        """Do what `run()` does, on the event loop that is running. Cancelling it closes the connection."""
        self._take_turn()
        try:
            await self._serve()
        finally:
            self._running.release()

    def _take_turn(self) -> None:
        if not self._running.acquire(blocking=False):
            raise RuntimeError("the worker is already running")

    async def _serve(self) -> None:
        program = Program()
        link = Link(
            self._options,
            self._handler,
            capabilities=self._capabilities,
            program=program,
            log=self._log,
            on_message=lambda message: self._receive(program, message),
        )
        self._link = link
        signals = SignalHandlers(self._options.signals, link.signal)
        done = asyncio.wrap_future(link.done)
        try:
            signals.install()
            link.start()
            await asyncio.shield(done)
        finally:
            link.close()
            await asyncio.wait([done], timeout=_CLOSE_SECONDS)
            link.join()
            await program.finish()
            signals.restore()
            self._link = None
            self._closed = True

    def send(self, message: Any) -> bool:
        """Send a message of the application's own. False unless registered: nothing is kept.

        Raises a TypeError or ValueError for what JSON can't hold. May be called from any thread.
        """
        frame = encode(message)
        link = self._link
        return link is not None and link.send(frame)

    async def update(
        self,
        capabilities: Mapping[str, Any] | None = None,
        *,
        models: Models | None = None,
        concurrency: float | None = None,
    ) -> None:
        """Send the server other capabilities, whole or by `models` and `concurrency`.

        Without a connection they count from the next registration. They take the place of a function, too. Raises a
        ValueError with the server's words if it doesn't accept them: then the old ones stay.
        """
        wanted = self._updated(capabilities, models, concurrency)
        link = self._link
        if link is None:
            self._capabilities.set(wanted)
        else:
            await asyncio.wrap_future(link.update(wanted))

    def _updated(
        self, capabilities: Mapping[str, Any] | None, models: Models | None, concurrency: float | None
    ) -> dict[str, Any]:
        if capabilities is not None:
            if models is not None or concurrency is not None:
                raise OptionError("capabilities must not be given together with models or concurrency")
            return check_capabilities(capabilities)
        if models is None and concurrency is None:
            raise OptionError("update() needs capabilities, models or concurrency")
        wanted = dict(self._capabilities.last or {"models": [], "maxConcurrentRequests": 1})
        if models is not None:
            wanted["models"] = capabilities_models(models)
        if concurrency is not None:
            wanted["maxConcurrentRequests"] = concurrency
        return check_capabilities(wanted)

    async def drain(self) -> None:
        """Take no more requests, let running ones end, and close. Returns when that is done."""
        link = self._link
        if link is None:
            return
        link.drain()
        done = asyncio.wrap_future(link.done)
        await asyncio.wait([done])
        # What run() raises is its own caller's to handle.
        if not done.cancelled():
            done.exception()

    def close(self) -> None:
        """Close the connection at once. Running handlers are cancelled. May be called from any thread."""
        link = self._link
        if link is not None:
            link.close()

    # Messages of the application. Called on the connection's thread, delivered on the program's.

    def _receive(self, program: Program, message: dict[str, Any]) -> None:
        if message["type"] in self._message_handlers:
            program.post(self._deliver, program, message)
        else:
            self._log.debug("No handler for messages of type %s", message["type"])

    def _deliver(self, program: Program, message: dict[str, Any]) -> None:
        for function in tuple(self._message_handlers[message["type"]]):
            try:
                value = function(message)
            except Exception as error:
                self._log.error("Error in the handler of messages of type %s", message["type"], error=error)
                continue
            if inspect.isawaitable(value):
                program.create_task(self._await_handler(value, message["type"]))

    async def _await_handler(self, value: Any, kind: str) -> None:
        try:
            await value
        except Exception as error:
            self._log.error("Error in the handler of messages of type %s", kind, error=error)


def _inside_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
