"""Connecting, registering, and what follows each way in which a connection can end."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
import time
from typing import Any

import pytest

from conftest import QUICK, Start, echo_worker
from difficult_server import DifficultServer
from hardlydifficult_worker import OptionError, Worker, WorkerRejected, dial, session


def test_a_registration_says_who_the_worker_is(server: DifficultServer, start: Start) -> None:
    start(
        echo_worker(
            server.url, worker_id="w", worker_name="W", auth_token="t0ken", models=["a", {"modelId": "b", "x": 1}]
        )
    )
    peer = server.accept()
    assert peer.headers["Authorization"] == "Bearer t0ken"
    assert peer.register() == {
        "type": "worker_registration",
        "workerId": "w",
        "workerName": "W",
        "capabilities": {"models": [{"modelId": "a"}, {"modelId": "b", "x": 1}], "maxConcurrentRequests": 1},
        "authToken": "t0ken",
        "features": ["request", "resume"],
    }


def test_a_worker_without_a_handler_asks_for_no_requests(server: DifficultServer, start: Start) -> None:
    run = start(Worker(server.url, **QUICK))
    registration = server.accept().expect("worker_registration")
    assert "features" not in registration
    assert "authToken" not in registration
    assert run.running


def test_headers_query_and_credentials_of_the_url_go_onto_the_upgrade(server: DifficultServer, start: Start) -> None:
    url = server.url.replace("127.0.0.1", "user:p%40ss@127.0.0.1") + "/workers?key=1"
    start(echo_worker(url, headers={"X-Site": "lab"}))
    peer = server.accept()
    assert (peer.path, peer.headers["X-Site"]) == ("/workers?key=1", "lab")
    assert peer.headers.get_all("Authorization") == ["Basic " + base64.b64encode(b"user:p@ss").decode()]


def test_an_authorization_of_the_program_has_the_first_say(server: DifficultServer, start: Start) -> None:
    start(echo_worker(server.url, headers={"authorization": "Basic abc"}, auth_token="t0ken"))
    peer = server.accept()
    assert peer.headers.get_all("Authorization") == ["Basic abc"]
    assert peer.register()["authToken"] == "t0ken"


def test_a_redirect_is_not_followed(server: DifficultServer, start: Start) -> None:
    server.refuse(302, Location=f"{server.url}/elsewhere")
    run = start(echo_worker(server.url, auth_token="t0ken", reconnect_max_attempts=0))
    with pytest.raises(ConnectionError, match="HTTP 302"):
        run.result()
    assert server.nobody_comes_for(0.1)


def test_state_follows_the_connection(server: DifficultServer, start: Start) -> None:
    worker = echo_worker(server.url)
    assert str(worker.state) == "idle"
    seen: list[str] = []

    @worker.on_message("look")
    def look(_message: Any) -> None:
        seen.append(worker.state)
        worker.send({"type": "seen"})

    run = start(worker)
    peer = server.accept()
    assert str(worker.state) == "connecting"
    peer.register()
    peer.send({"type": "look"})
    peer.expect("seen")
    assert seen == ["connected"]
    server.refuse(503, Retry_After="1")
    peer.cut()
    server.refused.get(timeout=5)
    assert str(worker.state) == "connecting"
    peer = server.accept()
    peer.register()
    while worker.state != "connected":
        time.sleep(0.01)
    worker.close()
    run.result()
    assert str(worker.state) == "closed"
    assert peer.wait_closed() == (1000, "")


def test_run_while_it_runs_raises_and_afterwards_it_may_be_called_again(server: DifficultServer, start: Start) -> None:
    worker = echo_worker(server.url)
    for _ in range(2):
        run = start(worker)
        peer = server.accept()
        peer.register()
        with pytest.raises(RuntimeError, match="already running"):
            worker.run()
        with pytest.raises(RuntimeError, match="already running"):
            asyncio.run(worker.serve())
        peer.close(1000)
        run.result()


def test_run_inside_of_an_event_loop_names_serve() -> None:
    async def program() -> None:
        Worker("ws://127.0.0.1:1").run()

    with pytest.raises(RuntimeError, match="serve"):
        asyncio.run(program())


@pytest.mark.parametrize(
    ("code", "reason"),
    [(4001, "Authentication failed"), (4002, "Invalid registration"), (4003, "Replaced by new connection")],
)
def test_a_close_that_is_final_raises(server: DifficultServer, start: Start, code: int, reason: str) -> None:
    run = start(echo_worker(server.url, auth_token="t0ken"))
    peer = server.accept()
    if code == 4003:
        peer.register()
    else:
        peer.expect("worker_registration")
        peer.send({"type": "worker_registration_ack", "success": False, "error": "Invalid registration: a: wrong"})
    peer.close(code, reason)
    with pytest.raises(WorkerRejected, match=str(code)) as raised:
        run.result()
    assert (raised.value.code, raised.value.reason) == (code, reason)
    assert ("a: wrong" in str(raised.value)) is (code != 4003)
    assert server.nobody_comes_for(0.3)


@pytest.mark.parametrize("code", [1001, 1011, 4003, 4004, 4008, 4009, None])
def test_every_other_end_is_followed_by_another_try(server: DifficultServer, start: Start, code: int | None) -> None:
    run = start(echo_worker(server.url))
    for _ in range(3):
        peer = server.accept()
        peer.register()
        if code is None:
            peer.cut()
        else:
            peer.close(code, "Heartbeat timeout")
    server.accept().register()
    assert run.running


def test_a_close_1000_of_the_server_lets_the_worker_go(server: DifficultServer, start: Start) -> None:
    run = start(echo_worker(server.url))
    peer = server.accept()
    peer.register()
    peer.close(1000, "thanks")
    run.result()
    assert server.nobody_comes_for(0.3)


def test_server_draining_says_when_to_come_back(server: DifficultServer, start: Start) -> None:
    # With these waits nobody would come back within the test, unless the server's time counts.
    start(echo_worker(server.url, reconnect_initial_delay=1e6, reconnect_max_delay=1e6))
    peer = server.accept()
    peer.register()
    peer.send({"type": "server_draining", "timeoutMs": 25_000, "reconnectAfterMs": 400})
    assert peer.silent_for(0.2), "the worker stays until the server closes"
    closed_at = time.monotonic()
    peer.close(1001, "Server shutting down")
    server.accept().register()
    assert time.monotonic() - closed_at >= 0.4


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for(server: DifficultServer, start: Start, status: int) -> None:
    server.refuse(status, Retry_After="1")
    start(echo_worker(server.url))
    server.refused.get(timeout=10)
    refused_at = time.monotonic()
    server.accept().register()
    assert time.monotonic() - refused_at >= 1


def test_failures_in_a_row_are_limited_and_the_last_error_is_raised(server: DifficultServer, start: Start) -> None:
    for _ in range(3):
        server.refuse(500)
    run = start(echo_worker(server.url, reconnect_max_attempts=3))
    with pytest.raises(ConnectionError, match="HTTP 500"):
        run.result()
    assert server.refused.qsize() == 3
    assert server.nobody_comes_for(0.1)


def test_a_registration_ends_the_row_of_failures(server: DifficultServer, start: Start) -> None:
    run = start(echo_worker(server.url, reconnect_max_attempts=2))
    peer = server.accept()
    peer.register()
    for _ in range(3):
        server.refuse(500)
        peer.cut()
        peer = server.accept()
        peer.register()
    assert run.running


def test_a_port_where_nobody_listens_raises_what_the_system_says(start: Start) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = start(echo_worker(f"ws://127.0.0.1:{port}", reconnect_max_attempts=0))
    with pytest.raises(ConnectionRefusedError):
        run.result()


def test_connecting_has_a_limit(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dial.OPEN_TIMEOUT == 10
    monkeypatch.setattr(dial, "OPEN_TIMEOUT", 0.2)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        run = start(echo_worker(f"ws://127.0.0.1:{mute.getsockname()[1]}/?key=secret", reconnect_max_attempts=0))
        with pytest.raises(TimeoutError, match="did not answer within") as raised:
            run.result()
    assert "secret" not in str(raised.value)


def test_the_acknowledgement_has_a_limit(
    server: DifficultServer, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert session.ACK_TIMEOUT == 30
    monkeypatch.setattr(session, "ACK_TIMEOUT", 0.2)
    run = start(echo_worker(server.url, reconnect_max_attempts=2))
    for _ in range(2):
        server.accept().expect("worker_registration")
    with pytest.raises(TimeoutError, match="registration"):
        run.result()


def test_something_that_is_no_websocket_server_is_tried_again(start: Start) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def answer() -> None:
            for _ in range(2):
                client, _ = other.accept()
                with client:
                    client.recv(4096)
                    client.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        run = start(echo_worker(f"ws://127.0.0.1:{other.getsockname()[1]}", reconnect_max_attempts=2))
        with pytest.raises(ConnectionError, match="did not answer as a WebSocket server"):
            run.result()
        thread.join()


def test_a_proxy_of_another_scheme_in_the_environment_is_an_error(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://user:secret@proxy.example")
    run = start(echo_worker("ws://server.example:1"))
    with pytest.raises(OptionError, match="ALL_PROXY must be") as raised:
        run.result()
    assert "secret" not in str(raised.value)
