"""A server that speaks the protocol as it should, or as badly as a test wants. It runs in a thread of its own.

Tests drive it from their own thread: each call waits for what it names, and fails by its timeout.
"""

from __future__ import annotations

import asyncio
import json
import queue
import ssl
import threading
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, TypeVar

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

T = TypeVar("T")
TIMEOUT = 15.0
FEATURES = ["request", "resume"]


class Peer:
    """One connection of a worker."""

    def __init__(self, server: DifficultServer, connection: ServerConnection, acknowledge: bool) -> None:
        self._server = server
        self._connection = connection
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.heartbeats: queue.Queue[dict[str, Any]] = queue.Queue()
        self.acknowledge = acknowledge
        self.session_id = f"session-{id(self)}"
        request = connection.request
        assert request is not None
        self.path: str = request.path
        self.headers: Headers = request.headers

    async def read(self) -> None:
        try:
            async for text in self._connection:
                message = json.loads(text)
                if message["type"] == "heartbeat":
                    self.heartbeats.put(message)
                    if self.acknowledge:
                        await self._connection.send(
                            json.dumps({"type": "heartbeat_ack", "timestamp": message["timestamp"]})
                        )
                else:
                    self._messages.put(message)
        except ConnectionClosed:
            pass
        finally:
            self._messages.put(None)

    def send(self, message: Any) -> None:
        text = message if isinstance(message, (str, bytes)) else json.dumps(message)
        self._server.run(self._connection.send(text))

    def receive(self, timeout: float = TIMEOUT) -> dict[str, Any]:
        """Return the next message that is no heartbeat."""
        message = self._messages.get(timeout=timeout)
        assert message is not None, "the worker closed the connection"
        return message

    def expect(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Return the next message, which must be of this type and have these fields."""
        message = self.receive()
        assert message["type"] == kind, message
        assert {name: message.get(name) for name in fields} == fields, message
        return message

    def silent_for(self, seconds: float) -> bool:
        """Whether no message but heartbeats comes for so long."""
        try:
            self._messages.put_nowait(self._messages.get(timeout=seconds))
        except queue.Empty:
            return True
        return False

    def register(self, features: list[str] | None = None, interval: float = 15_000, **more: Any) -> dict[str, Any]:
        """Accept the registration, and return it."""
        registration = self.expect("worker_registration")
        ack: dict[str, Any] = {
            "type": "worker_registration_ack",
            "success": True,
            "sessionId": self.session_id,
            "heartbeatIntervalMs": interval,
        }
        offered = FEATURES if features is None else features
        if offered:
            ack["features"] = offered
        if "resume" in registration and "resume" in offered:
            more = {"resumed": [], "dropped": [], **more}
        self.send({**ack, **more})
        return registration

    def request(self, request_id: str = "r1", attempt: int = 1, **fields: Any) -> None:
        self.send({"type": "request", "requestId": request_id, "attempt": attempt, "stream": False, **fields})

    def settle(self, request_id: str = "r1", attempt: int = 1) -> None:
        self.send({"type": "request_settled", "requestId": request_id, "attempt": attempt})

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._server.run(self._connection.close(code, reason))

    def cut(self) -> None:
        """Break the connection without a close frame."""
        self._server.call(self._connection.transport.abort)

    def freeze(self) -> None:
        """Read nothing more, and say nothing: the connection is half-open."""
        self.acknowledge = False
        self._server.call(self._connection.transport.pause_reading)

    def thaw(self) -> None:
        self._server.call(self._connection.transport.resume_reading)

    def wait_closed(self, timeout: float = TIMEOUT) -> tuple[int | None, str | None]:
        """Wait until the worker is gone, and return the code and reason of its close frame."""
        self._server.run(asyncio.wait_for(self._connection.wait_closed(), timeout))
        received = self._connection.protocol.close_rcvd
        return (None, None) if received is None else (int(received.code), received.reason)


class DifficultServer:
    """Listens on port 0 of the loopback address."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._peers: queue.Queue[Peer] = queue.Queue()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._main(),), daemon=True)
        self._listening: Server
        self.port = 0
        self.refusals: list[Response] = []
        """What the next upgrades are answered with."""
        self.refused: queue.Queue[Request] = queue.Queue()
        self.acknowledge_heartbeats = True

    def __enter__(self) -> DifficultServer:  # noqa: PYI034 - Self is not in Python 3.10
        self._thread.start()
        assert self._ready.wait(TIMEOUT)
        return self

    def __exit__(self, *_: object) -> None:
        # What peers have closed meanwhile is noticed before the loop ends.
        for _turn in range(3):
            self.call(lambda: None)
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(TIMEOUT)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(TIMEOUT)

    def call(self, function: Any) -> None:
        async def call() -> None:
            function()

        self.run(call())

    def accept(self, timeout: float = TIMEOUT) -> Peer:
        """Wait for the next connection."""
        return self._peers.get(timeout=timeout)

    def nobody_comes_for(self, seconds: float) -> bool:
        try:
            self._peers.put(self._peers.get(timeout=seconds))
        except queue.Empty:
            return True
        return False

    def refuse(self, status: int, **headers: str) -> None:
        """Refuse the next upgrade that isn't refused already."""
        fields = Headers({name.replace("_", "-"): value for name, value in headers.items()})
        fields["Content-Length"] = "0"
        self.refusals.append(Response(status, HTTPStatus(status).phrase, fields, b""))

    async def _main(self) -> None:
        async with serve(
            self._serve,
            "127.0.0.1",
            0,
            ssl=self._tls,
            process_request=self._upgrade,
            compression=None,
            ping_interval=None,
            close_timeout=1,
            max_size=None,
        ) as listening:
            self.port = next(iter(listening.sockets)).getsockname()[1]
            self._ready.set()
            self._listening = listening
            await self._stop.wait()
            self._abort_all()

    def _abort_all(self) -> None:
        for connection in self._listening.connections:
            connection.transport.abort()

    def disconnect_all(self) -> None:
        self.call(self._abort_all)

    def _upgrade(self, _connection: ServerConnection, request: Request) -> Response | None:
        if not self.refusals:
            return None
        self.refused.put(request)
        return self.refusals.pop(0)

    async def _serve(self, connection: ServerConnection) -> None:
        peer = Peer(self, connection, self.acknowledge_heartbeats)
        self._peers.put(peer)
        await peer.read()
        await connection.wait_closed()
