"""The real server, the one in this repository, as a process that obeys commands."""

from __future__ import annotations

import json
import pathlib
import queue
import shutil
import subprocess
import threading
from typing import Any

SCRIPT = pathlib.Path(__file__).with_name("node_server.mjs")

available = shutil.which("node") is not None and (SCRIPT.parents[2] / "index.js").exists()


class NodeServer:
    def __init__(self, **options: Any) -> None:
        self._process = subprocess.Popen(
            ["node", str(SCRIPT), json.dumps(options)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        started = self.expect("started")
        self.port: int = started["port"]

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._events.put(json.loads(line))

    def next(self) -> dict[str, Any]:
        """Return the next event."""
        return self._events.get(timeout=15)

    def expect(self, event: str, **fields: Any) -> dict[str, Any]:
        """Return the next event, which must be this one and have these fields."""
        told = self.next()
        assert told["event"] == event, told
        assert {name: told.get(name) for name in fields} == fields, told
        return told

    def tell(self, command: str, **arguments: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
