"""A worker in Python from scratch, message by message: registers, sends heartbeats, answers what `server.request()`
sends it, and comes back when the connection is lost. For a worker of your own use the package in python/.

    pip install websockets
    python3 examples/worker.py [ws://127.0.0.1:19100] [ID]

It answers requests with the payload `{"prompt": ...}`. A token is read from WORKER_TOKEN: a server that asks for one
hears nothing of a worker before it has registered with it.
"""

import asyncio
import datetime
import json
import os
import random
import sys

import websockets

URL = sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:19100"
ID = sys.argv[2] if len(sys.argv) > 2 else f"python-{os.getpid()}"

REGISTRATION = {
    "type": "worker_registration",
    "workerId": ID,
    "workerName": ID,
    # Without it the server sends no requests.
    "features": ["request"],
    "capabilities": {
        "models": [{"modelId": "llama-3-8b", "displayName": "Llama 3", "maxContextTokens": 8192,
                    "maxOutputTokens": 1024, "supportsStreaming": False}],
        "maxConcurrentRequests": 4,
    },
}
if "WORKER_TOKEN" in os.environ:
    REGISTRATION["authToken"] = os.environ["WORKER_TOKEN"]


def work(prompt):
    """Put your model here. What takes long belongs in a thread, or no heartbeat is sent meanwhile."""
    return prompt.upper()


async def send_heartbeats(ws, interval_ms):
    while True:
        await asyncio.sleep(interval_ms / 1000)
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        await ws.send(json.dumps({"type": "heartbeat", "workerId": ID, "timestamp": now}))


async def answer(ws, message):
    about = {"requestId": message["requestId"], "attempt": message["attempt"]}
    await ws.send(json.dumps({"type": "request_ack", **about}))
    try:
        text = await asyncio.to_thread(work, message["payload"]["prompt"])
        answer = {"type": "request_result", **about, "data": {"text": text}}
    except Exception as error:
        answer = {"type": "request_error", **about, "error": {"message": repr(error)}}
    await ws.send(json.dumps(answer))


async def register(ws):
    await ws.send(json.dumps(REGISTRATION))
    ack = json.loads(await ws.recv())
    if not ack["success"]:
        # A wrong token or registration: trying again would change nothing.
        raise SystemExit(f"registration refused: {ack['error']}")
    return ack


async def serve(ws, heartbeat_interval_ms):
    """One connection, from its registration to its end."""
    tasks = {asyncio.create_task(send_heartbeats(ws, heartbeat_interval_ms))}
    try:
        async for text in ws:
            message = json.loads(text)
            # A "request_cancel" changes nothing here: no thread can be stopped. The server holds the slot until the answer.
            if message["type"] == "request":
                task = asyncio.create_task(answer(ws, message))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
    finally:
        for task in tasks:
            task.cancel()


def is_final(close):
    """Whether it is no use to connect again: a wrong token, a bad registration, or another process with this id."""
    if close is None:
        return False
    return close.code in (4001, 4002) or (close.code, close.reason) == (4003, "Replaced by new connection")


async def main():
    wait = 0.25
    while True:
        try:
            async with websockets.connect(URL) as ws:
                ack = await register(ws)
                wait = 0.25
                await serve(ws, ack["heartbeatIntervalMs"])
        except websockets.ConnectionClosed as closed:
            # What the server's close frame says; None if there was none.
            if is_final(closed.rcvd):
                raise SystemExit(f"[{ID}] closed by the server: {closed.rcvd.code} {closed.rcvd.reason}") from None
            print(f"connection closed: {closed}", file=sys.stderr)
        except (OSError, asyncio.IncompleteReadError) as error:
            print(f"no connection: {error}", file=sys.stderr)
        # The wait doubles with each failure, and is drawn at random so that a fleet doesn't come back all at once.
        await asyncio.sleep(wait * random.uniform(0.5, 1))
        wait = min(wait * 2, 30)


try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
