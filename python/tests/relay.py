"""A TCP relay to a port of this machine, whose connections can be cut, or be slow."""

from __future__ import annotations

import contextlib
import socket
import threading
import time


class Relay:
    """Passes everything on to one port of the loopback address, at a given rate if it is a slow uplink."""

    def __init__(self, target: int, bytes_per_second: float | None = None) -> None:
        self._target = target
        self._bytes_per_second = bytes_per_second
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, function: object, *sockets: socket.socket) -> None:
        assert callable(function)
        thread = threading.Thread(target=function, args=sockets, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, near)

    def _serve(self, near: socket.socket) -> None:
        with near:
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            with far:
                with self._lock:
                    self._sockets |= {near, far}
                back = threading.Thread(target=pipe, args=(far, near), daemon=True)
                back.start()
                pipe(near, far, self._bytes_per_second)
                back.join()
                with self._lock:
                    self._sockets -= {near, far}

    def cut(self) -> None:
        """Break every connection."""
        with self._lock:
            for each in self._sockets:
                shut(each)

    def close(self) -> None:
        """Listen no more, and wait until what was connected is closed."""
        # Closing alone doesn't end an accept() that waits.
        shut(self._listener)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(15)


def pipe(source: socket.socket, target: socket.socket, bytes_per_second: float | None = None) -> None:
    """Pass bytes on until either side ends, and end the other."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
            if bytes_per_second is not None:
                time.sleep(len(data) / bytes_per_second)
    shut(source)
    shut(target)


def shut(connection: socket.socket) -> None:
    """Shut a socket down in both directions, if it isn't yet."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
