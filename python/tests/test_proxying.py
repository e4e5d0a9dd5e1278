"""Through an HTTP CONNECT proxy, for real. The names here exist for the proxy alone."""

from __future__ import annotations

import base64
import queue
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import QUICK, Start
from difficult_server import DifficultServer
from hardlydifficult_worker import Worker
from relay import pipe, shut


class Proxy:
    """Connects everything to one port of the loopback address, and keeps the heads of the requests."""

    def __init__(self, target: int, status: str = "200 Connection established") -> None:
        self._target = target
        self._status = status
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heads: queue.Queue[str] = queue.Queue()
        self._threads: list[threading.Thread] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, client)

    def _start(self, function: Callable[..., None], *sockets: socket.socket) -> None:
        thread = threading.Thread(target=function, args=sockets, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        self.heads.put(head.decode())
        client.sendall(f"HTTP/1.1 {self._status}\r\n\r\n".encode())
        if not self._status.startswith("200"):
            client.close()
            return
        server = socket.create_connection(("127.0.0.1", self._target))
        self._start(pipe, client, server)
        pipe(server, client)
        client.close()
        server.close()

    def close(self) -> None:
        """Listen no more, and wait until what was connected is closed."""
        # Closing alone doesn't end an accept() that waits.
        shut(self._listener)
        self._listener.close()
        for thread in self._threads:
            thread.join(15)


@pytest.fixture
def proxy(server: DifficultServer) -> Iterator[Proxy]:
    running = Proxy(server.port)
    yield running
    server.disconnect_all()
    running.close()


def worker_for(url: str, **options: Any) -> Worker:
    worker = Worker(url, **{**QUICK, **options})
    worker.handler()(lambda payload, context: payload)
    return worker


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY", "http_proxy"])
def test_the_environments_proxy_is_taken(
    server: DifficultServer, proxy: Proxy, start: Start, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, f"http://user:p%40ss@127.0.0.1:{proxy.port}")
    start(worker_for("ws://gpu.test:8080/workers", auth_token="t0ken"))
    peer = server.accept()
    peer.register()
    head = proxy.heads.get(timeout=5)
    assert head.startswith("CONNECT gpu.test:8080 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic " + base64.b64encode(b"user:p@ss").decode() in head
    assert "t0ken" not in head
    assert (peer.headers["Host"], peer.path) == ("gpu.test:8080", "/workers")
    assert peer.headers["Authorization"] == "Bearer t0ken"
    assert "Proxy-Authorization" not in peer.headers


def test_so_is_the_one_that_the_program_names(server: DifficultServer, proxy: Proxy, start: Start) -> None:
    start(worker_for("ws://gpu.test", proxy=f"http://127.0.0.1:{proxy.port}"))
    server.accept().register()
    assert proxy.heads.get(timeout=5).startswith("CONNECT gpu.test:80 HTTP/1.1\r\n")


def test_loopback_goes_straight(
    server: DifficultServer, proxy: Proxy, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
    start(worker_for(server.url))
    server.accept().register()
    assert proxy.heads.empty()


def test_a_proxy_that_refuses_is_an_error_without_its_credentials(
    server: DifficultServer, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Proxy(server.port, "407 Proxy Authentication Required")
    monkeypatch.setenv("HTTP_PROXY", f"http://user:secret@127.0.0.1:{refusing.port}")
    run = start(worker_for("ws://gpu.test/?key=secret", reconnect_max_attempts=0))
    with pytest.raises(ConnectionError, match=r"the proxy refused to connect to ws://gpu\.test/: HTTP 407") as raised:
        run.result()
    assert "secret" not in str(raised.value)
    refusing.close()


def test_a_proxy_that_is_none_is_an_error(server: DifficultServer, start: Start) -> None:
    other = Proxy(server.port, "\r\nSSH-2.0-OpenSSH_9.6")
    run = start(worker_for("ws://gpu.test/", proxy=f"127.0.0.1:{other.port}", reconnect_max_attempts=2))
    with pytest.raises(ConnectionError, match="no HTTP answer"):
        run.result()
    other.close()
    with pytest.raises(ConnectionRefusedError):
        start(worker_for("ws://gpu.test/", proxy=f"http://127.0.0.1:{other.port}", reconnect_max_attempts=0)).result()


def test_tls_is_with_the_server_and_goes_through_the_proxy(
    server: DifficultServer, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=gpu.test"),
            *("-addext", "subjectAltName=DNS:gpu.test"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with DifficultServer(context) as secure:
        proxy = Proxy(secure.port)
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        trusting = ssl.create_default_context(cafile=str(certificate))
        start(worker_for("wss://gpu.test/", ssl=trusting))
        secure.accept().register()
        assert proxy.heads.get(timeout=5).startswith("CONNECT gpu.test:443 HTTP/1.1\r\n")
        run = start(worker_for("wss://gpu.test/", reconnect_max_attempts=0))
        with pytest.raises(ssl.SSLCertVerificationError):
            run.result()
        secure.disconnect_all()
        proxy.close()
