"""What every test may ask for: a difficult server, and workers that are closed when the test is over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from difficult_server import DifficultServer, Peer
from hardlydifficult_worker import Worker
from real_server import NodeServer

QUICK: dict[str, Any] = {"reconnect_initial_delay": 0.05, "reconnect_max_delay": 0.1}


def echo_worker(url: str, **options: Any) -> Worker:
    worker = Worker(url, **{"models": ["echo"], **QUICK, **options})

    @worker.handler()
    async def handle(payload: Any, context: Any) -> Any:
        return payload

    return worker


class Run:
    """A worker that runs in a thread."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._done: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="test-program", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.worker.run()
        except BaseException as error:
            self._done.set_exception(error)
        else:
            self._done.set_result(None)

    @property
    def running(self) -> bool:
        return not self._done.done()

    def result(self, timeout: float = 15) -> None:
        """Wait until run() returns, or raise what it raised."""
        self._done.result(timeout)

    def error(self, timeout: float = 15) -> BaseException | None:
        return self._done.exception(timeout)

    def close(self) -> None:
        self.worker.close()
        self._done.exception(15)
        self._thread.join(15)


Start = Callable[[Worker], Run]
Serve = Callable[..., Peer]


@pytest.fixture(autouse=True)
def _no_proxy_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[DifficultServer]:
    with DifficultServer() as running:
        yield running


@pytest.fixture
def start() -> Iterator[Start]:
    runs: list[Run] = []

    def begin(worker: Worker) -> Run:
        runs.append(Run(worker))
        return runs[-1]

    yield begin
    for run in runs:
        run.close()


Listen = Callable[..., NodeServer]


@pytest.fixture
def listen() -> Iterator[Listen]:
    servers: list[NodeServer] = []

    def begin(**options: Any) -> NodeServer:
        servers.append(NodeServer(**options))
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


@pytest.fixture
def serve(server: DifficultServer, start: Start) -> Serve:
    """Start a worker with this handler, and return its connection, registered."""

    def begin(handler: Callable[..., Any], *, features: list[str] | None = None, **options: Any) -> Peer:
        worker = Worker(server.url, **{**QUICK, **options})
        worker.handler()(handler)
        start(worker)
        peer = server.accept()
        peer.register(features)
        return peer

    return begin
