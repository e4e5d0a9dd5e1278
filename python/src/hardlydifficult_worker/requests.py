"""The requests that this worker works on, from `request` to `request_settled`. Lives on the connection's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from .context import RequestContext
from .flow import Backlog
from .handler import Call, HandlerFunction
from .log import Log
from .program import Program
from .replay import Key, ReplayStore
from .wire import Ack, IncomingRequest, coded_error_message, parse_key, parse_request, request_message


class Sender(Protocol):
    """A registered connection."""

    def enqueue(self, frame: bytes) -> None:
        """Send a frame after those that wait already."""


class _Running:
    """An attempt whose handler has not returned."""

    def __init__(self, request: IncomingRequest) -> None:
        self.request = request
        self.context: RequestContext
        self.call: Call
        self.timer: asyncio.TimerHandle | None = None
        self.abort_code: str | None = None
        """Why the handler was cancelled; None while it wasn't."""
        self.cancelled_by_server = False
        self.over = False
        """The server has had the last word, or doesn't want it: nothing more is sent."""


_OVERFLOW = ("RESUME_OVERFLOW", "more was streamed than is kept for a resume")

_ABORT_MESSAGES = {
    "TIMEOUT": "the request timed out",
    "DRAIN_TIMEOUT": "the worker is leaving",
    "SUPERSEDED": "a later attempt of the request has come",
}


class RequestTable:
    """Takes requests, runs the handler for them, and says how each ended."""

    def __init__(
        self,
        function: HandlerFunction | None,
        *,
        program: Program,
        loop: asyncio.AbstractEventLoop,
        post: Callable[..., None],
        backlog: Backlog,
        log: Log,
        on_finished: Callable[[], None],
    ) -> None:
        self._function = function
        self._program = program
        self._loop = loop
        self._post = post
        self._backlog = backlog
        self._log = log
        self._on_finished = on_finished
        self._running: dict[Key, _Running] = {}
        self._replay = ReplayStore()
        self._sender: Sender | None = None
        self._resumable = False
        self.capacity: float = 0

    @property
    def idle(self) -> bool:
        """Whether no handler runs."""
        return not self._running

    @property
    def unsent(self) -> bool:
        """Whether the server is owed an end that it may not have."""
        return bool(self._replay.unsettled())

    def active_ids(self) -> list[str]:
        """Return what a heartbeat names: each request that the server counts on."""
        # Each heartbeat is also the time to forget ends that the server never settles.
        self._replay.expire(self._loop.time())
        return list(dict.fromkeys(key[0] for key, running in self._running.items() if not running.over))

    # Connections

    def resume_list(self) -> list[dict[str, Any]]:
        """Return what a registration names to go on with."""
        self._replay.expire(self._loop.time())
        done = self._replay.unsettled()
        going_on = [key for key, running in self._running.items() if not running.over and key not in done]
        return [
            {"requestId": key[0], "attempt": key[1], "done": ended}
            for keys, ended in ((going_on, False), (done, True))
            for key in keys
        ]

    def registered(self, sender: Sender | None, ack: Ack) -> None:
        """Go on with the requests that the server resumed, and drop the others. Without the feature, drop all."""
        self._sender = sender
        self._resumable = sender is not None and "resume" in ack.features and ack.session_id is not None
        earlier = [key for key, running in self._running.items() if not running.over]
        for key in dict.fromkeys([*earlier, *self._replay.unsettled()]):
            if self._resumable and key in ack.resumed:
                self._go_on(key, ack.resumed[key])
            else:
                self._drop(key, "DISCONNECTED")

    def _go_on(self, key: Key, next_seq: int) -> None:
        sender = self._sender
        chunks = self._replay.chunks_from(key, next_seq)
        if chunks is None or sender is None:
            self._fail(key, *_OVERFLOW)
            return
        for frame in chunks:
            sender.enqueue(frame)
        end = self._replay.end_of(key)
        if end is not None:
            sender.enqueue(end)

    def lost(self) -> None:
        """The connection is gone. Without the feature `resume` so are its requests."""
        self._sender = None
        for key, running in list(self._running.items()):
            if not self._resumable:
                self._drop(key, "DISCONNECTED")
            elif running.cancelled_by_server:
                # The server has no caller left for it.
                running.over = True
                self._replay.forget(key)
        if not self._resumable:
            self._replay.forget_all()

    def refused(self, frame: bytes) -> None:
        """The server has closed the connection because of this frame: sent once more, it would do so again."""
        key = self._replay.find(frame)
        if key is not None:
            self._fail(key, "MESSAGE_TOO_BIG", f"the server takes no message of {len(frame)} bytes")

    def abort_all(self, code: str, *, silently: bool = False) -> None:
        """Cancel every handler. Silently, nothing more is said about its request."""
        for key, running in list(self._running.items()):
            if silently:
                self._drop(key, code)
            else:
                self._abort(running, code)

    def _drop(self, key: Key, code: str) -> None:
        self._replay.forget(key)
        running = self._running.get(key)
        if running is not None:
            running.over = True
            self._abort(running, code)

    # Messages of the server

    def on_message(self, message: dict[str, Any]) -> None:
        """Handle one of the types `request`, `request_cancel` and `request_settled`. Raises Malformed."""
        if message["type"] == "request":
            self._on_request(parse_request(message))
        elif message["type"] == "request_settled":
            key = parse_key(message)
            if self._replay.end_of(key) is not None:
                self._replay.forget(key)
        else:
            self._on_cancel(message)

    def _on_request(self, request: IncomingRequest) -> None:
        key = request.key
        earlier = [each for each, running in self._running.items() if each[0] == key[0] and not running.over]
        if any(each[0] == key[0] and each[1] >= key[1] for each in (*earlier, *self._replay.unsettled())):
            self._log.debug("Request %s attempt %d came before", *key)
            return
        for each in earlier:
            self._abort(self._running[each], "SUPERSEDED")
        if self._sender is None or self._function is None:
            return
        # A handler that was cancelled and hasn't ended yet holds its slot, and its place in the table.
        if len(self._running) + 1 > self.capacity or key in self._running:
            self._sender.enqueue(request_message("request_reject", key, reason="busy"))
            return
        self._sender.enqueue(request_message("request_ack", key))
        self._start(request, self._function)

    def _start(self, request: IncomingRequest, function: HandlerFunction) -> None:
        running = _Running(request)
        running.context = RequestContext(request, lambda data: self._send_progress(running, data))
        running.call = Call(
            function,
            request,
            running.context,
            program=self._program,
            backlog=self._backlog,
            log=self._log,
            on_chunk=lambda frame: self._post_frame(self._chunk, running, frame),
            on_finished=lambda frame: self._post(self._finished, running, frame),
        )
        self._running[request.key] = running
        if request.timeout != float("inf"):
            running.timer = self._loop.call_later(request.timeout, self._abort, running, "TIMEOUT")
        running.call.start()

    def _on_cancel(self, message: dict[str, Any]) -> None:
        # What the server knows nothing of has no attempt there.
        request_id, attempt = parse_key(message if "attempt" in message else {**message, "attempt": 1})
        reason = message.get("reason")
        for key, running in list(self._running.items()):
            if key[0] == request_id and ("attempt" not in message or key[1] == attempt) and not running.over:
                running.cancelled_by_server = True
                self._replay.drop_chunks(key)
                self._abort(running, reason.upper() if isinstance(reason, str) else "CANCELLED")

    def _abort(self, running: _Running, code: str) -> None:
        if running.abort_code is None:
            running.abort_code = code
            running.context._cancel()
            running.call.cancel()

    # What handlers say. The first two are called on their threads.

    def _send_progress(self, running: _Running, data: Any) -> None:
        self._post_frame(self._progress, running, request_message("request_progress", running.request.key, data=data))

    def _post_frame(self, function: Callable[[_Running, bytes], None], running: _Running, frame: bytes) -> None:
        """Hand a frame to the connection's thread. Until it is there it waits for the socket, too."""
        self._backlog.add(len(frame))
        self._post(self._take_frame, function, running, frame)

    def _take_frame(self, function: Callable[[_Running, bytes], None], running: _Running, frame: bytes) -> None:
        if not running.over and not running.cancelled_by_server and running.request.key in self._running:
            function(running, frame)
        self._backlog.remove(len(frame))

    def _progress(self, running: _Running, frame: bytes) -> None:
        if self._sender is not None:
            self._sender.enqueue(frame)

    def _chunk(self, running: _Running, frame: bytes) -> None:
        key = running.request.key
        shortened = self._replay.add_chunk(key, frame) if self._resumable else set()
        if self._sender is not None:
            self._sender.enqueue(frame)
            return
        # Without a connection the server may not have what was dropped.
        for stream in shortened:
            self._fail(stream, *_OVERFLOW)

    def _fail(self, key: Key, code: str, message: str) -> None:
        """End a request whatever its handler does: it can't go on."""
        self._replay.drop_chunks(key)
        self._send_end(key, coded_error_message(key, message, code))
        running = self._running.get(key)
        if running is not None:
            running.over = True
            self._abort(running, code)

    def _finished(self, running: _Running, frame: bytes | None) -> None:
        key = running.request.key
        del self._running[key]
        if running.timer is not None:
            running.timer.cancel()
        if not running.over:
            code = running.abort_code or "CANCELLED"
            if running.cancelled_by_server:
                frame = coded_error_message(key, f"the request was cancelled ({code.lower()})", "CANCELLED")
            elif frame is None:
                frame = coded_error_message(key, _ABORT_MESSAGES.get(code, "the request was cancelled"), code)
            self._send_end(key, frame)
        self._on_finished()

    def _send_end(self, key: Key, frame: bytes) -> None:
        if self._resumable:
            self._replay.add_end(key, frame, self._loop.time())
        if self._sender is not None:
            self._sender.enqueue(frame)
