"""Leaving in peace: draining, its time limit, and updates of the capabilities."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest

from conftest import QUICK, Run, Start
from difficult_server import DifficultServer, Peer
from hardlydifficult_worker import OptionError, RequestContext, Worker


def begin(
    server: DifficultServer, start: Start, handler: Any, features: list[str] | None = None, **options: Any
) -> tuple[Peer, Run]:
    worker = Worker(server.url, **{**QUICK, **options})
    worker.handler()(handler)
    run = start(worker)
    peer = server.accept()
    peer.register(features)
    while worker.state != "connected":
        time.sleep(0.005)
    return peer, run


def drain(run: Run) -> Future[None]:
    """Call drain() from a thread and an event loop of its own."""
    done: Future[None] = Future()

    def call() -> None:
        asyncio.run(run.worker.drain())
        done.set_result(None)

    threading.Thread(target=call, daemon=True).start()
    return done


class Gate:
    def __init__(self) -> None:
        self.release = threading.Event()

    def handle(self, payload: Any, context: RequestContext) -> str:
        self.release.wait(15)
        return "done"


def test_running_requests_end_and_then_the_worker_closes(server: DifficultServer, start: Start) -> None:
    gate = Gate()
    peer, run = begin(server, start, gate.handle, concurrency=2)
    peer.request()
    peer.expect("request_ack")
    drained = drain(run)
    assert peer.receive() == {"type": "worker_status", "status": "draining"}
    assert str(run.worker.state) == "draining"
    # A request that was on its way when the server received the status is done as well.
    peer.request("r2")
    peer.expect("request_ack", requestId="r2")
    peer.send({"type": "worker_status_ack", "status": "draining"})
    assert peer.silent_for(0.2)
    assert not drained.done()
    gate.release.set()
    for _ in range(2):
        peer.expect("request_result", data="done")
    run.result()
    drained.result(5)
    assert peer.wait_closed() == (1000, "")
    assert str(run.worker.state) == "closed"


def test_it_does_not_close_before_the_acknowledgement(server: DifficultServer, start: Start) -> None:
    peer, run = begin(server, start, Gate().handle)
    drain(run)
    peer.expect("worker_status", status="draining")
    assert peer.silent_for(0.3)
    assert run.running
    peer.send({"type": "worker_status_ack", "status": "draining"})
    run.result()
    assert peer.wait_closed() == (1000, "")


def test_heartbeats_go_on_until_then(server: DifficultServer, start: Start) -> None:
    gate = Gate()
    worker = Worker(server.url, **QUICK)
    worker.handler()(gate.handle)
    run = start(worker)
    peer = server.accept()
    peer.register(interval=50)
    peer.request()
    peer.expect("request_ack")
    drain(run)
    peer.expect("worker_status")
    while not peer.heartbeats.empty():
        peer.heartbeats.get()
    assert peer.heartbeats.get(timeout=5)["active"] == ["r1"]
    gate.release.set()


def test_a_server_without_features_is_left_at_once(server: DifficultServer, start: Start) -> None:
    peer, run = begin(server, start, Gate().handle, features=[])
    drain(run).result(5)
    run.result()
    assert peer.wait_closed() == (1000, "")


def test_at_the_time_limit_handlers_are_cancelled_and_a_second_later_it_closes(
    server: DifficultServer, start: Start
) -> None:
    cancelled = threading.Event()

    async def obeys(payload: Any, context: RequestContext) -> None:
        await asyncio.sleep(60)

    peer, run = begin(server, start, obeys, drain_timeout=0.3)
    peer.request()
    peer.expect("request_ack")
    drain(run)
    peer.expect("worker_status")
    peer.send({"type": "worker_status_ack", "status": "draining"})
    assert peer.expect("request_error")["error"]["code"] == "DRAIN_TIMEOUT"
    run.result()

    def ignores(payload: Any, context: RequestContext) -> None:
        while not context.cancelled:
            time.sleep(0.01)
        cancelled.set()
        time.sleep(10)

    peer, run = begin(server, start, ignores, drain_timeout=0.3)
    peer.request()
    peer.expect("request_ack")
    drained = drain(run)
    peer.expect("worker_status")
    assert cancelled.wait(5)
    cancelled_at = time.monotonic()
    run.result()
    assert time.monotonic() - cancelled_at >= 0.9
    drained.result(5)
    assert peer.wait_closed() == (1000, "")


def test_a_server_that_never_acknowledges_is_left_at_the_time_limit(server: DifficultServer, start: Start) -> None:
    peer, run = begin(server, start, Gate().handle, drain_timeout=0.3)
    drain(run)
    peer.expect("worker_status")
    run.result()
    assert peer.wait_closed() == (1000, "")


def test_draining_survives_a_lost_connection(server: DifficultServer, start: Start) -> None:
    gate = Gate()
    peer, run = begin(server, start, gate.handle)
    peer.request()
    peer.expect("request_ack")
    drain(run)
    peer.expect("worker_status")
    peer.cut()
    again = server.accept()
    again.register(resumed=[{"requestId": "r1", "attempt": 1, "nextSeq": 0}])
    again.expect("worker_status", status="draining")
    again.send({"type": "worker_status_ack", "status": "draining"})
    assert run.worker.state == "draining"
    gate.release.set()
    again.expect("request_result")
    run.result()


def test_with_nothing_to_do_and_no_connection_it_just_ends(start: Start) -> None:
    worker = Worker("ws://127.0.0.1:1", reconnect_initial_delay=60)
    run = start(worker)
    while worker.state != "connecting":
        time.sleep(0.01)
    drain(run).result(5)
    run.result()


def test_drain_and_close_of_a_worker_that_does_not_run_do_nothing() -> None:
    worker = Worker("ws://127.0.0.1:1")
    asyncio.run(worker.drain())
    worker.close()
    assert worker.state == "idle"


def test_close_does_not_wait(server: DifficultServer, start: Start) -> None:
    gate = Gate()
    peer, run = begin(server, start, gate.handle)
    peer.request()
    peer.expect("request_ack")
    drain(run)
    peer.expect("worker_status")
    run.worker.close()
    run.result(5)
    gate.release.set()


def test_close_ends_a_connection_to_a_server_that_does_not_answer(server: DifficultServer, start: Start) -> None:
    peer, run = begin(server, start, Gate().handle)
    peer.freeze()
    run.worker.close()
    run.result(8)


def test_close_while_connecting_ends_it(server: DifficultServer, start: Start) -> None:
    for stage in ("upgrade", "registration", "waiting"):
        worker = Worker(server.url, reconnect_initial_delay=60)
        if stage == "waiting":
            server.refuse(503)
        run = start(worker)
        if stage == "waiting":
            server.refused.get(timeout=5)
        else:
            peer = server.accept()
            if stage == "registration":
                peer.expect("worker_registration")
        worker.close()
        run.result(5)


def test_a_registration_under_way_is_waited_for(server: DifficultServer, start: Start) -> None:
    worker = Worker(server.url, **QUICK)
    worker.handler()(Gate().handle)
    run = start(worker)
    peer = server.accept()
    registration = peer.receive()
    drained = drain(run)
    while worker.state != "draining":
        time.sleep(0.01)
    assert not drained.done()
    assert registration["type"] == "worker_registration"
    peer.send({"type": "worker_registration_ack", "success": True, "sessionId": "s", "features": ["request"]})
    peer.expect("worker_status", status="draining")
    peer.send({"type": "worker_status_ack", "status": "draining"})
    drained.result(5)
    assert peer.wait_closed() == (1000, "")


class TestUpdates:
    def update(self, run: Run, *arguments: Any, **named: Any) -> Future[None]:
        done: Future[None] = Future()

        def call() -> None:
            try:
                asyncio.run(run.worker.update(*arguments, **named))
            except Exception as error:
                done.set_exception(error)
            else:
                done.set_result(None)

        threading.Thread(target=call, daemon=True).start()
        return done

    def test_the_server_is_told_and_its_answer_waited_for(self, server: DifficultServer, start: Start) -> None:
        gate = Gate()
        peer, run = begin(server, start, gate.handle, models=["a"])
        done = self.update(run, {"models": [{"modelId": "b"}], "maxConcurrentRequests": 2})
        update = peer.receive()
        assert update == {
            "type": "worker_update",
            "capabilities": {"models": [{"modelId": "b"}], "maxConcurrentRequests": 2},
        }
        assert not done.done()
        for name in ("r1", "r2"):
            peer.request(name)
            peer.expect("request_ack")
        peer.send({"type": "worker_update_ack", "success": True})
        done.result(5)
        peer.cut()
        assert server.accept().register()["capabilities"] == update["capabilities"]
        gate.release.set()

    def test_what_it_does_not_accept_raises_its_words_and_changes_nothing(
        self, server: DifficultServer, start: Start
    ) -> None:
        gate = Gate()
        peer, run = begin(server, start, gate.handle, models=["a"])
        done = self.update(run, models=["b"], concurrency=2)
        peer.expect("worker_update")
        peer.send({"type": "worker_update_ack", "success": False, "error": "Invalid update: models: too many"})
        with pytest.raises(ValueError, match="Invalid update: models: too many"):
            done.result(5)
        peer.request()
        peer.expect("request_ack")
        peer.request("r2")
        peer.expect("request_reject")
        peer.cut()
        assert server.accept().register()["capabilities"] == {
            "models": [{"modelId": "a"}],
            "maxConcurrentRequests": 1,
        }
        gate.release.set()

    def test_without_a_connection_it_counts_from_the_next_registration(
        self, server: DifficultServer, start: Start
    ) -> None:
        worker = Worker(server.url, models=["a"], **QUICK)
        worker.handler()(Gate().handle)
        asyncio.run(worker.update(concurrency=3))
        run = start(worker)
        peer = server.accept()
        assert peer.register()["capabilities"] == {"models": [{"modelId": "a"}], "maxConcurrentRequests": 3}
        while worker.state != "connected":
            time.sleep(0.005)
        done = self.update(run, models=["b"])
        peer.expect("worker_update")
        peer.cut()
        done.result(5)
        assert server.accept().register()["capabilities"]["models"] == [{"modelId": "b"}]

    @pytest.mark.parametrize("accepted", [True, False])
    def test_during_a_registration_it_follows_it(self, server: DifficultServer, start: Start, accepted: bool) -> None:
        worker = Worker(server.url, models=["a"], **QUICK)
        worker.handler()(Gate().handle)
        run = start(worker)
        peer = server.accept()
        registration = peer.receive()
        self.update(run, models=["b"]).result(5)
        ack = {"type": "worker_registration_ack", "success": True, "sessionId": "s", "features": ["request"]}
        peer.send(ack)
        assert peer.expect("worker_update")["capabilities"]["models"] == [{"modelId": "b"}]
        peer.send({"type": "worker_update_ack", "success": accepted, "error": "Invalid update: models: no"})
        peer.request()
        peer.expect("request_ack")
        peer.cut()
        expected = "b" if accepted else registration["capabilities"]["models"][0]["modelId"]
        assert server.accept().register()["capabilities"]["models"] == [{"modelId": expected}]

    def test_a_server_without_features_hears_of_it_at_the_next_registration(
        self, server: DifficultServer, start: Start
    ) -> None:
        peer, run = begin(server, start, Gate().handle, features=[])
        self.update(run, models=["b"]).result(5)
        assert peer.silent_for(0.1)
        peer.cut()
        assert server.accept().register()["capabilities"]["models"] == [{"modelId": "b"}]

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [((), {}), ((7,), {}), (({"a": {1}},), {}), ((), {"models": "b"}), (({},), {"models": ()})],
    )
    def test_wrong_ones_are_told_at_once(self, arguments: Any, named: Any) -> None:
        with pytest.raises(OptionError):
            asyncio.run(Worker("ws://127.0.0.1:1").update(*arguments, **named))
