"""Connecting again and again: which token, how long to wait, and when to give up. Runs on the connection's loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .backoff import Backoff, Loss
from .errors import WorkerRejected
from .log import Log
from .options import Options, check_token
from .program import Program
from .source import FunctionFailed, Source

TOKEN_RETRIES = 2

T = TypeVar("T")


class Left(Exception):
    """The worker leaves: whatever was under way is given up."""


class Connector:
    """Calls `connect` with a token until the worker leaves, is let go, or trying again can't help."""

    def __init__(
        self,
        options: Options,
        program: Program,
        log: Log,
        connect: Callable[[str | None], Coroutine[Any, Any, Loss]],
        on_loss: Callable[[], None],
    ) -> None:
        self._program = program
        self._log = log
        self._connect = connect
        self._on_loss = on_loss
        self._token: Source[str | None] = Source(options.auth_token, check_token, "auth_token")
        self._backoff = Backoff(options.initial_delay, options.max_delay, options.max_attempts)
        self._current: asyncio.Task[Any] | None = None
        self.leaving = False

    def give_up_current(self) -> None:
        """End what is under way: a connection that isn't registered, or the wait for the next one."""
        if self._current is not None:
            self._current.cancel()

    async def run(self) -> None:
        """Return when the worker has left. Raises what makes trying again useless."""
        refused_tokens = 0
        token: str | None = None
        token_is_new = False
        with contextlib.suppress(Left):
            while True:
                try:
                    if not token_is_new:
                        token = await self._interruptible(self._ask_token())
                    token_is_new = False
                    loss = await self._interruptible(self._connect(token))
                    if self.leaving:
                        return
                    if loss.let_go:
                        self._log.info("The server let this worker go: %s", loss.reason)
                        return
                    rejection = loss.rejection()
                    if rejection is None or rejection.code != 4001:
                        refused_tokens = 0
                    else:
                        refused_tokens += 1
                        if self._token.is_function and refused_tokens <= TOKEN_RETRIES:
                            # What the function gave last was refused: only a new answer can help.
                            refused, token = token, await self._interruptible(self._ask_token(insist=True))
                            token_is_new = token != refused
                    if rejection is not None and not token_is_new:
                        raise self._redacted_rejection(rejection, loss)
                except FunctionFailed as failed:
                    loss = Loss(error=failed.error)
                if not token_is_new:
                    await self._wait_after(loss)

    async def _wait_after(self, loss: Loss) -> None:
        delay = self._backoff.next_delay(loss)
        error = loss.last_error()
        if delay is None:
            raise self._redacted(error)
        self._on_loss()
        if not self.leaving:
            self._log.warning("Connecting again in %.2f s: %s", delay, str(error) or type(error).__name__)
        await self._interruptible(asyncio.sleep(delay))

    async def _interruptible(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await something that leaving cancels."""
        if self.leaving:
            coroutine.close()
            raise Left
        self._current = asyncio.get_running_loop().create_task(coroutine)
        try:
            result: T = await self._current
        except asyncio.CancelledError:
            raise Left from None
        finally:
            self._current = None
        return result

    async def _ask_token(self, *, insist: bool = False) -> str | None:
        token = await self._token.value(self._program, insist=insist)
        self._log.hide(token)
        return token

    def _redacted(self, error: Exception) -> Exception:
        text = str(error)
        redacted = self._log.redact(text)
        return error.with_traceback(None) if redacted == text else ConnectionError(redacted)

    def _redacted_rejection(self, rejection: WorkerRejected, loss: Loss) -> WorkerRejected:
        detail = None if loss.detail is None else self._log.redact(loss.detail)
        return WorkerRejected(rejection.code, self._log.redact(rejection.reason), detail)
