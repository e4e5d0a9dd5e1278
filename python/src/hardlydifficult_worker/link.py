"""The connection's thread: registers, passes messages on, and leaves in peace.

Methods that say so may be called from any thread; everything else runs on the loop of this thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from .backoff import Loss
from .connector import Connector
from .dial import DialError, dial
from .flow import Backlog
from .handler import HandlerFunction
from .log import Log
from .options import Options
from .program import Program
from .requests import RequestTable
from .session import Session
from .signals import block_signals_in_this_thread
from .source import Source
from .updates import Updates
from .wire import FEATURES, REQUEST_TYPES, SESSION_TYPES, Ack, encode, seconds_from_ms

DRAIN_GRACE_SECONDS = 1.0
TOO_BIG = 1009


class Link:
    """One run of a worker, from `start` until `done`."""

    def __init__(
        self,
        options: Options,
        function: HandlerFunction | None,
        *,
        capabilities: Source[dict[str, Any]],
        program: Program,
        log: Log,
        on_message: Callable[[dict[str, Any]], None],
    ) -> None:
        self._options = options
        self._function = function
        self._program = program
        self._log = log
        self._on_application_message = on_message
        self._capabilities = capabilities
        self._loop = asyncio.new_event_loop()
        # Debug mode would write what passes through the loop.
        self._loop.set_debug(False)
        self._backlog = Backlog()
        self._table = RequestTable(
            function,
            program=program,
            loop=self._loop,
            post=self.post,
            backlog=self._backlog,
            log=log,
            on_finished=self._leave_if_drained,
        )
        self._connector = Connector(options, program, log, self._connect, self._leave_if_drained)
        self._updates = Updates(capabilities, log.redact)
        self._session: Session | None = None
        self._resume_from: str | None = None
        self._draining = False
        self._drain_reason: str | None = None
        self._status_acknowledged = False
        self._warned_of_features = False
        self._signals_seen = 0
        self.state = "connecting"
        self.registered = False
        """Whether `send` takes messages. Read from any thread."""
        self.done: Future[None] = Future()
        self._thread = threading.Thread(target=self._run_thread, name="worker-connection", daemon=True)

    # From any thread

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the thread to end, if `done` is settled: then it has nothing left to do."""
        if self.done.done():
            self._thread.join()

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on this thread's loop. After its end nothing happens."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args)

    def send(self, frame: bytes) -> bool:
        """Send an application's message. False unless registered."""
        if not self.registered:
            return False
        self._backlog.add(len(frame))
        self.post(self._send, frame)
        return True

    def drain(self) -> None:
        """Leave when everything that runs has ended."""
        self.post(self._drain)

    def close(self) -> None:
        """Leave at once."""
        self.post(self._leave, False)

    def signal(self, name: str) -> None:
        """The first signal drains, a second closes at once. Takes no lock: it may interrupt anything."""
        self.post(self._signal, name)

    def update(self, capabilities: dict[str, Any]) -> Future[None]:
        """Register other capabilities. The future fails with the server's words if it doesn't accept them."""
        answer: Future[None] = Future()
        self.post(self._update, answer, capabilities)
        return answer

    # The thread

    def _run_thread(self) -> None:
        block_signals_in_this_thread()
        error: BaseException | None = None
        try:
            self._loop.run_until_complete(self._connector.run())
        except BaseException as raised:
            error = raised
        try:
            self._end()
        finally:
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)

    def _end(self) -> None:
        self.registered = False
        self._table.abort_all("DISCONNECTED", silently=True)
        self._updates.lost()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._loop.run_until_complete(asyncio.wait(tasks))
        self._loop.close()

    # One connection

    async def _connect(self, token: str | None) -> Loss:
        capabilities = await self._capabilities.value(self._program)
        try:
            socket = await dial(self._options, token)
        except DialError as failed:
            return failed.loss
        session = Session(
            socket,
            self._options.worker_id,
            backlog=self._backlog,
            log=self._log,
            on_registered=lambda ack: self._registered(ack, capabilities),
            on_message=self._message,
            active_ids=self._table.active_ids,
        )
        self._session = session
        try:
            loss = await session.run(self._registration(capabilities, token))
        finally:
            self._session = None
            if self.registered:
                self._lost()
        if loss.code == TOO_BIG:
            self._table.refused(session.largest_frame)
        return loss

    def _lost(self) -> None:
        self.registered = False
        if not self._draining:
            self.state = "connecting"
        self._table.lost()
        self._updates.lost()

    def _registration(self, capabilities: dict[str, Any], token: str | None) -> bytes:
        message: dict[str, Any] = {
            "type": "worker_registration",
            "workerId": self._options.worker_id,
            "workerName": self._options.worker_name,
            "capabilities": capabilities,
        }
        if token is not None:
            message["authToken"] = token
        if self._function is not None:
            message["features"] = list(FEATURES)
        if self._resume_from is not None:
            message["resume"] = {"sessionId": self._resume_from, "requests": self._table.resume_list()}
        return encode(message)

    def _registered(self, ack: Ack, capabilities: dict[str, Any]) -> None:
        takes_requests = "request" in ack.features and self._function is not None
        self._updates.registered(capabilities)
        self._table.capacity = self._updates.capacity
        self._resume_from = ack.session_id if "resume" in ack.features else None
        self.registered = True
        if self._draining:
            # Before what is resumed: nothing new should come while that is sent.
            self._announce_draining()
        self._table.registered(self._session if takes_requests else None, ack)
        self._log.info("Registered at %s as %s", self._options.url, self._options.worker_id)
        if self._function is not None and not takes_requests and not self._warned_of_features:
            self._warned_of_features = True
            self._log.warning("The server does not send requests to handlers: this worker's will not be called")
        self._send_early_update(capabilities)
        if not self._draining:
            self.state = "connected"
        self._leave_if_drained()

    def _send_early_update(self, registered: dict[str, Any]) -> None:
        """Send what `update()` was given while the registration with older capabilities was under way."""
        wanted = self._capabilities.last
        if wanted is None or wanted is registered or not self._speaks_requests():
            return
        answer: Future[None] = Future()

        def complain(done: Future[None]) -> None:
            error = done.exception()
            if error is not None:
                self._log.warning("The server keeps to the capabilities of the registration: %s", error)
                self._capabilities.set(registered)

        answer.add_done_callback(complain)
        self._update(answer, wanted)

    def _speaks_requests(self) -> bool:
        return self.registered and self._session is not None and "request" in self._session.features

    def _message(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if not self._speaks_requests():
            self._on_application_message(message)
        elif kind in REQUEST_TYPES:
            self._table.on_message(message)
        elif kind in SESSION_TYPES:
            self._session_message(kind, message)
        else:
            self._on_application_message(message)

    def _session_message(self, kind: str, message: dict[str, Any]) -> None:
        if kind == "worker_status_ack":
            self._status_acknowledged = self._draining
            self._leave_if_drained()
        elif kind == "worker_update_ack":
            self._updates.answered(message)
            self._table.capacity = self._updates.capacity
        elif self._session is not None:
            after = seconds_from_ms(message.get("reconnectAfterMs"), -1)
            self._session.reconnect_after = after if 0 <= after < float("inf") else None
            self._log.info("The server is draining")

    def _send(self, frame: bytes) -> None:
        if self._session is not None and self.registered:
            self._session.enqueue(frame)
        self._backlog.remove(len(frame))

    def _update(self, answer: Future[None], capabilities: dict[str, Any]) -> None:
        if self._session is None or not self._speaks_requests():
            self._updates.keep(answer, capabilities)
            return
        self._updates.sent(answer, capabilities)
        self._table.capacity = self._updates.capacity
        self._session.enqueue(encode({"type": "worker_update", "capabilities": capabilities}))

    # Leaving

    def _signal(self, name: str) -> None:
        self._signals_seen += 1
        if self._signals_seen == 1:
            self._log.info("%s: leaving when what runs has ended", name)
            self._drain(name)
        else:
            self._log.info("%s again: leaving at once", name)
            self._leave(False)

    def _drain(self, reason: str | None = None) -> None:
        if self._draining or self._connector.leaving:
            return
        self._draining = True
        self._drain_reason = reason
        self.state = "draining"
        if self._options.drain_timeout != float("inf"):
            self._loop.call_later(self._options.drain_timeout, self._drain_timed_out)
        self._announce_draining()
        self._leave_if_drained()

    def _announce_draining(self) -> None:
        self._status_acknowledged = False
        if self._session is not None and self._speaks_requests():
            message = {"type": "worker_status", "status": "draining"}
            if self._drain_reason is not None:
                message["reason"] = self._drain_reason
            self._session.enqueue(encode(message))

    def _drain_timed_out(self) -> None:
        if self._connector.leaving:
            return
        self._log.warning("What runs has not ended within %g s: cancelling it", self._options.drain_timeout)
        self._table.abort_all("DRAIN_TIMEOUT")
        self._loop.call_later(DRAIN_GRACE_SECONDS, self._leave, False)
        # The server had its time to acknowledge.
        self._status_acknowledged = True
        self._leave_if_drained()

    def _leave_if_drained(self) -> None:
        """Leave, if the worker drains and nothing is left to be done or to be delivered."""
        if not self._draining or self._connector.leaving or not self._table.idle:
            return
        if self.registered:
            if self._status_acknowledged or not self._speaks_requests():
                self._leave(True)
        elif self._session is None and not self._table.unsent:
            self._leave(False)

    def _leave(self, flush: bool) -> None:
        """Close with 1000, after everything that waits was written if `flush`."""
        if self._connector.leaving and flush:
            return
        self._connector.leaving = True
        # What still comes is refused.
        self._table.capacity = 0
        if not flush:
            self._table.abort_all("DISCONNECTED", silently=True)
        if self._session is not None:
            self._session.close(flush=flush)
        else:
            self._connector.give_up_current()
