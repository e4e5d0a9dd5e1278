"""Tokens and capabilities that a function returns: when it is asked, and what follows a refusal."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from conftest import Start, echo_worker
from difficult_server import DifficultServer
from hardlydifficult_worker import Worker, WorkerRejected


def start_blockable(start: Start, worker: Worker) -> tuple[threading.Event, threading.Event]:
    """Start a worker that the message `block` blocks. Return the events that it is, and that it may go on."""
    blocked, release = threading.Event(), threading.Event()

    @worker.on_message("block")
    def block(message: Any) -> None:
        blocked.set()
        release.wait(15)

    start(worker)
    return blocked, release


class TestTokens:
    def test_a_function_is_asked_at_each_connect(self, server: DifficultServer, start: Start) -> None:
        tokens = iter(["one", "two"])

        async def token() -> str:
            await asyncio.sleep(0)
            return next(tokens)

        start(echo_worker(server.url, auth_token=token))
        peer = server.accept()
        assert peer.register()["authToken"] == "one"
        peer.cut()
        peer = server.accept()
        assert peer.headers["Authorization"] == "Bearer two"
        assert peer.register()["authToken"] == "two"

    def test_a_refused_one_is_replaced_twice_in_a_row(self, server: DifficultServer, start: Start) -> None:
        tokens = iter(["one", "two", "three", "four"])
        run = start(echo_worker(server.url, auth_token=lambda: next(tokens)))
        for expected in ("one", "two", "three"):
            peer = server.accept()
            assert peer.expect("worker_registration")["authToken"] == expected
            peer.close(4001, "Authentication failed")
        with pytest.raises(WorkerRejected, match="4001"):
            run.result()

    def test_the_same_one_again_is_refused_for_good(self, server: DifficultServer, start: Start) -> None:
        run = start(echo_worker(server.url, auth_token=lambda: "one"))
        peer = server.accept()
        peer.expect("worker_registration")
        peer.close(4001, "Authentication failed")
        with pytest.raises(WorkerRejected):
            run.result()
        assert server.nobody_comes_for(0.2)

    def test_a_new_one_is_waited_for_while_the_program_is_blocked(self, server: DifficultServer, start: Start) -> None:
        tokens = iter(["one", "two", "three"])
        blocked, release = start_blockable(start, echo_worker(server.url, auth_token=lambda: next(tokens)))
        peer = server.accept()
        peer.register()
        peer.send({"type": "block"})
        assert blocked.wait(5)
        peer.cut()
        peer = server.accept()
        assert peer.expect("worker_registration")["authToken"] == "one"
        peer.close(4001, "Authentication failed")
        assert server.nobody_comes_for(1.5)
        release.set()
        assert server.accept().register()["authToken"] == "two"

    def test_a_function_that_raises_is_a_failure_like_others(self, server: DifficultServer, start: Start) -> None:
        answers: list[Any] = [RuntimeError("vault is sealed"), 7, "right"]

        def token() -> Any:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        start(echo_worker(server.url, auth_token=token))
        assert server.accept().register()["authToken"] == "right"
        answers[:] = [RuntimeError("vault is sealed")]
        run = start(echo_worker(server.url, auth_token=token, reconnect_max_attempts=0))
        with pytest.raises(RuntimeError, match="vault is sealed"):
            run.result()

    def test_what_was_given_last_is_used_while_the_program_is_blocked(
        self, server: DifficultServer, start: Start
    ) -> None:
        tokens = iter(["one", "two", "three"])
        blocked, release = start_blockable(start, echo_worker(server.url, auth_token=lambda: next(tokens)))
        peer = server.accept()
        assert peer.register()["authToken"] == "one"
        peer.send({"type": "block"})
        assert blocked.wait(5)
        peer.cut()
        peer = server.accept()
        assert peer.register()["authToken"] == "one"
        release.set()
        peer.request(payload=1)
        peer.expect("request_ack")
        peer.expect("request_result", data=1)
        peer.cut()
        assert server.accept().register()["authToken"] == "two", "a call that nobody waited for was not made"

    def test_capabilities_are_asked_at_each_connect_too(self, server: DifficultServer, start: Start) -> None:
        counts = iter([1, 2])
        worker = echo_worker(
            server.url, models=(), capabilities=lambda: {"models": [], "maxConcurrentRequests": next(counts)}
        )
        start(worker)
        for expected in (1, 2):
            peer = server.accept()
            assert peer.register()["capabilities"]["maxConcurrentRequests"] == expected
            peer.cut()
