"""One connection to the server: registering, reading, writing, and heartbeats that notice a server that is gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from .backoff import Loss
from .flow import Backlog
from .heartbeats import Heartbeats, interval_from_ms
from .log import Log
from .wire import Ack, Malformed, decode, encode, parse_ack, timestamp
from .within import within

ACK_TIMEOUT = 30.0
REFUSAL_TIMEOUT = 5.0
LATE_WAKE_SECONDS = 1.0
"""A timer that is this late means that the process did not run."""


class Session:
    """A WebSocket that is open. `run` lasts as long as it does, and returns how it ended."""

    def __init__(
        self,
        socket: ClientConnection,
        worker_id: str,
        *,
        backlog: Backlog,
        log: Log,
        on_registered: Callable[[Ack], None],
        on_message: Callable[[dict[str, Any]], None],
        active_ids: Callable[[], list[str]],
    ) -> None:
        self._socket = socket
        self._worker_id = worker_id
        self._backlog = backlog
        self._log = log
        self._on_registered = on_registered
        self._on_message = on_message
        self._active_ids = active_ids
        self._loop = asyncio.get_running_loop()
        self._outbox: deque[tuple[bytes, str | None]] = deque()
        self._wake = asyncio.Event()
        self._flushed = asyncio.Event()
        self._flushed.set()
        self._frames_written = 0
        self.largest_frame = b""
        """The largest one that was written: the one that a server means when it closes with 1009."""
        self._beats: Heartbeats | None = None
        self._beat_waits = False
        self._complained = False
        self._closing: asyncio.Task[None] | None = None
        self.features: frozenset[str] = frozenset()
        self.reconnect_after: float | None = None

    async def run(self, registration: bytes) -> Loss:
        """Register, and serve the connection until it ends."""
        tasks: list[asyncio.Task[None]] = []
        registered = False
        detail: str | None = None
        try:
            try:
                ack = await within(ACK_TIMEOUT, self._register(registration))
            except TimeoutError:
                return Loss(error=TimeoutError(f"no answer to the registration within {ACK_TIMEOUT:g} s"))
            if not ack.success:
                detail = ack.error
                with contextlib.suppress(TimeoutError):
                    await within(REFUSAL_TIMEOUT, self._read_nothing())
                return Loss(detail=detail, error=ConnectionError("the server refused the registration"))
            registered = True
            self.features = ack.features
            self._beats = Heartbeats(interval_from_ms(ack.heartbeat_interval_ms), self._loop.time())
            self._on_registered(ack)
            tasks = [self._loop.create_task(self._write()), self._loop.create_task(self._beat(self._beats))]
            for task in tasks:
                task.add_done_callback(self._task_done)
            while True:
                self._dispatch(await self._socket.recv())
        except ConnectionClosed as closed:
            frame = closed.rcvd
            return Loss(
                code=1006 if frame is None else int(frame.code),
                reason="" if frame is None else frame.reason,
                detail=detail,
                reconnect_after=self.reconnect_after,
                registered=registered,
            )
        finally:
            for task in tasks:
                task.cancel()
            self._socket.transport.abort()
            self._backlog.remove(sum(len(frame) for frame, _ in self._outbox))
            self._outbox.clear()
            self._flushed.set()

    def _task_done(self, task: asyncio.Task[None]) -> None:
        """A connection whose writing or heartbeats have failed is of no use, although it is open."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._log.error("The connection is given up", error=error)
            self._socket.transport.abort()

    # Registering

    async def _register(self, registration: bytes) -> Ack:
        await self._socket.send(registration, text=True)
        while True:
            message = self._decode(await self._socket.recv())
            if message is not None and message["type"] == "worker_registration_ack":
                return parse_ack(message)

    async def _read_nothing(self) -> None:
        while True:
            await self._socket.recv()

    # Reading

    def _decode(self, frame: str | bytes) -> dict[str, Any] | None:
        try:
            message = decode(frame)
        except ValueError:
            message = None
        if isinstance(message, dict) and isinstance(message.get("type"), str):
            return message
        self._complain("a message that is no JSON object with a type")
        return None

    def _dispatch(self, frame: str | bytes) -> None:
        message = self._decode(frame)
        if message is None:
            return
        if message["type"] == "heartbeat_ack":
            if self._beats is not None:
                self._beats.acknowledged(message.get("timestamp"))
            return
        if message["type"] == "worker_registration_ack":
            return
        try:
            self._on_message(message)
        except Malformed as field:
            self._complain(f"a {message['type']} without a proper {field}")
        except Exception as error:
            # One message that can't be handled is not worth the connection.
            self._log.error("A %s could not be handled", message["type"], error=error)

    def _complain(self, what: str) -> None:
        """Warn of the first malformed message of a connection; the others are logged at debug."""
        write = self._log.debug if self._complained else self._log.warning
        self._complained = True
        write("The server sent %s: ignored", what)

    # Writing

    def enqueue(self, frame: bytes) -> None:
        """Send a frame after those that wait already."""
        self._enqueue(frame, None)

    def _enqueue(self, frame: bytes, heartbeat: str | None) -> None:
        self._outbox.append((frame, heartbeat))
        self._backlog.add(len(frame))
        self._flushed.clear()
        self._wake.set()

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                while self._outbox:
                    frame, heartbeat = self._outbox.popleft()
                    if heartbeat is not None and self._beats is not None:
                        self._beat_waits = False
                        self._beats.sent(heartbeat, self._loop.time())
                    self.largest_frame = max(self.largest_frame, frame, key=len)
                    try:
                        await self._socket.send(frame, text=True)
                    finally:
                        self._backlog.remove(len(frame))
                    self._frames_written += 1
                self._flushed.set()
                self._wake.clear()
                await self._wake.wait()

    # Heartbeats

    async def _beat(self, beats: Heartbeats) -> None:
        next_beat = self._loop.time() + beats.interval
        while True:
            wake_at = min(next_beat, beats.deadline(), self._loop.time() + LATE_WAKE_SECONDS)
            await asyncio.sleep(max(0.0, wake_at - self._loop.time()))
            now = self._loop.time()
            if now - wake_at > LATE_WAKE_SECONDS:
                # What came meanwhile is still unread.
                beats.shift(now - wake_at)
            buffered = self._socket.transport.get_write_buffer_size()
            beats.progress((self._frames_written, buffered), bool(self._outbox) or buffered > 0, now)
            if beats.overdue(now):
                self._log.warning("The server has not answered for %.1f s: connecting again", beats.lateness)
                self._socket.transport.abort()
                return
            if now >= next_beat:
                next_beat = now + beats.interval
                self._enqueue_heartbeat()

    def _enqueue_heartbeat(self) -> None:
        if self._beat_waits:
            return
        self._beat_waits = True
        sent_at = timestamp()
        message: dict[str, Any] = {"type": "heartbeat", "workerId": self._worker_id, "timestamp": sent_at}
        if "request" in self.features:
            message["active"] = self._active_ids()
        self._enqueue(encode(message), sent_at)

    # Closing

    def close(self, *, flush: bool) -> None:
        """Close with 1000, after everything that waits was written if `flush`. `run` returns when it is done."""
        if self._closing is None or not flush:
            if self._closing is not None:
                self._closing.cancel()
            self._closing = self._loop.create_task(self._close(flush))

    async def _close(self, flush: bool) -> None:
        if flush:
            await self._flushed.wait()
        await self._socket.close(1000, "")
