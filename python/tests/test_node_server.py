"""Against the real server, the one in this repository."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from conftest import QUICK, Listen, Start
from hardlydifficult_worker import Worker, WorkerRejected
from real_server import available

pytestmark = pytest.mark.skipif(not available, reason="needs Node and a checkout of the whole repository")


def test_a_worker_registers_with_all_that_it_says_of_itself(listen: Listen, start: Start) -> None:
    server = listen(authToken="t0ken")
    worker = Worker(server.url, worker_id="w", worker_name="W", auth_token="t0ken", models=["a", "b"], concurrency=3)
    run = start(worker)
    told = server.expect("connected")["worker"]
    assert (told["id"], told["name"], told["status"]) == ("w", "W", "available")
    assert told["capabilities"] == {"models": [{"modelId": "a"}, {"modelId": "b"}], "maxConcurrentRequests": 3}
    asyncio.run(worker.drain())
    run.result()


def test_a_wrong_token_is_refused_for_good(listen: Listen, start: Start) -> None:
    server = listen(authToken="t0ken")
    with pytest.raises(WorkerRejected) as raised:
        start(Worker(server.url, auth_token="wrong", **QUICK)).result()
    assert (raised.value.code, raised.value.reason) == (4001, "Authentication failed")
    assert "wrong" not in str(raised.value)


def test_a_registration_that_the_server_refuses_is_final(listen: Listen, start: Start) -> None:
    server = listen()
    capabilities = {"models": [], "maxConcurrentRequests": 1, "concurrencyLimits": "many"}
    with pytest.raises(WorkerRejected, match="concurrencyLimits") as raised:
        start(Worker(server.url, capabilities=capabilities, **QUICK)).result()
    assert (raised.value.code, raised.value.reason) == (4002, "Invalid registration")


def test_another_worker_with_the_same_id_takes_over(listen: Listen, start: Start) -> None:
    server = listen()
    first = start(Worker(server.url, worker_id="w", **QUICK))
    server.expect("connected")
    start(Worker(server.url, worker_id="w", **QUICK))
    with pytest.raises(WorkerRejected) as raised:
        first.result()
    assert (raised.value.code, raised.value.reason) == (4003, "Replaced by new connection")


def test_heartbeats_keep_it_healthy_and_are_answered(listen: Listen, start: Start) -> None:
    server = listen(heartbeatIntervalMs=100, heartbeatTimeoutMs=500, healthCheckIntervalMs=50)
    run = start(Worker(server.url, worker_id="w", **QUICK))
    before = server.expect("connected")["worker"]["lastHeartbeat"]
    # Three timeouts, and longer than a worker waits for an answer.
    time.sleep(6)
    server.tell("workers")
    (worker,) = server.expect("workers")["workers"]
    assert worker["status"] == "available"
    assert worker["lastHeartbeat"] > before
    assert run.running


def test_messages_go_both_ways(listen: Listen, start: Start) -> None:
    server = listen()
    worker = Worker(server.url, worker_id="w", **QUICK)

    @worker.on_message("to the worker")
    async def answer(message: dict[str, Any]) -> None:
        worker.send({"type": "to the application", "echo": message["text"]})

    start(worker)
    server.expect("connected")
    text = "\ud800 ä \U0001f600 " + "x" * 2_000_000
    server.tell("send", id="w", message={"type": "to the worker", "text": text})
    server.expect("sent")
    assert server.expect("message")["message"]["echo"] == text


def test_a_server_that_restarts_gets_its_workers_back(listen: Listen, start: Start) -> None:
    server = listen()
    start(Worker(server.url, worker_id="w", **QUICK))
    server.expect("connected")
    server.tell("stop")
    server.expect("stopped")
    server.tell("start")
    # Port 0 again: the worker can't know the new one, so a second server takes the old one.
    server.expect("started")
    again = listen(port=server.port)
    assert again.expect("connected")["worker"]["id"] == "w"


def test_leaving_is_a_close_1000(listen: Listen, start: Start) -> None:
    server = listen()
    worker = Worker(server.url, worker_id="w", **QUICK)
    worker.handler()(lambda payload, context: payload)
    run = start(worker)
    server.expect("connected")
    asyncio.run(worker.drain())
    run.result()
    assert server.expect("updated")["worker"]["status"] == "draining"
    server.expect("disconnected")
    server.tell("workers")
    assert server.expect("workers")["workers"] == []
