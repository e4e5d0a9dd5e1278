"""A worker as a process of its own: `child.py URL KIND`. It says on stdout what happens to it."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from typing import Any

from hardlydifficult_worker import RequestContext, Worker


def say(*words: object) -> None:
    print(*words, flush=True)


def main(url: str, kind: str) -> None:
    worker = Worker(url, concurrency=2, reconnect_initial_delay=0.05, reconnect_max_delay=0.1)

    async def sleep(payload: Any, context: RequestContext) -> str:
        say("started")
        try:
            await asyncio.sleep(payload)
        except asyncio.CancelledError:
            say("cancelled")
            raise
        return "slept"

    async def hold_loop(payload: Any, context: RequestContext) -> str:
        say("started")
        time.sleep(payload)
        return "held"

    def hold_gil_by_turns(payload: Any, context: RequestContext) -> str:
        say("started")
        end = time.monotonic() + payload
        while time.monotonic() < end:
            # Nobody else runs for some tenths of a second.
            sum(range(5_000_000))
        return "held"

    worker.handler()({"sleep": sleep, "loop": hold_loop, "gil": hold_gil_by_turns}[kind])
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    worker.run()
    after = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    say("listeners", "left" if before == after else "stayed")
    say("returned", worker.state)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
