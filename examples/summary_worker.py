"""An example worker in Python: answers chat requests word by word, as lib/cli/demo/worker.js does in JavaScript.

    WORKER_TOKEN=... PYTHONPATH=python/src python3 examples/summary_worker.py ws://127.0.0.1:19100 NAME

`npm start` runs it as a process of its own, and it leaves when that process does.
"""

import asyncio
import logging
import math
import os
import re
import signal
import sys
import threading
import time

from hardlydifficult_worker import RequestError, Worker

TOKEN_SECONDS = 0.03
AT_ONCE = 2
SENTENCES = 2
SHORTEST_WORD = 4


def words_of(text):
    return re.findall(r"[^\W_]+", text.lower())


def summary_of(text):
    """Return the sentences whose words are the most frequent ones of the text, in their order."""
    counts = {}
    for word in words_of(text):
        if len(word) >= SHORTEST_WORD:
            counts[word] = counts.get(word, 0) + 1

    def score(sentence):
        words = words_of(sentence)
        return sum(counts.get(word, 0) for word in words) / math.sqrt(len(words) or 1)

    sentences = re.findall(r"[^\s.!?].*?(?:[.!?]+(?=\s|$)|$)", text, re.MULTILINE)
    best = sorted(enumerate(sentences), key=lambda each: (-score(each[1]), each[0]))[:SENTENCES]
    return " ".join(sentence.strip() for _, sentence in sorted(best))


MODELS = {"summary-1": summary_of, "echo-1": lambda text: text}


def http_error(status, message):
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return RequestError(message, data={"status": status, "body": {"error": error}})


async def answer(payload, context):
    path, body = payload["path"], payload["body"]
    if path != "/chat/completions":
        raise http_error(404, f"This example knows /chat/completions only, not {path}")
    messages = body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    said = last.get("content") if isinstance(last, dict) else None
    if not isinstance(said, str):
        raise http_error(400, "messages must end with one whose content is a text")
    common = {"id": f"chatcmpl-{context.request_id}", "created": int(time.time()), "model": context.model}
    chunk = {**common, "object": "chat.completion.chunk"}
    tokens = re.findall(r"\S+\s*", MODELS[context.model](said))
    context.progress({"tokens": len(tokens)})
    for content in tokens:
        await asyncio.sleep(TOKEN_SECONDS)
        delta = {"role": "assistant", "content": content}
        yield {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    message = {"role": "assistant", "content": "".join(tokens)}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    context.set_result({**common, "object": "chat.completion", "choices": choices})


def main():
    url, name = sys.argv[1:]
    worker = Worker(
        url,
        worker_id=name,
        auth_token=os.environ.get("WORKER_TOKEN"),
        capabilities={
            "models": [{"modelId": model, "displayName": model, "supportsStreaming": True} for model in MODELS],
            "maxConcurrentRequests": AT_ONCE,
            "metadata": {"language": "Python"},
        },
        reconnect_max_delay=2.0,
        handle_signals=(signal.SIGTERM,),
    )
    worker.handler()(answer)

    def leave_with_the_parent():
        # Unbuffered: a buffer's lock would be held when the interpreter ends.
        os.read(sys.stdin.fileno(), 1)
        worker.close()

    # A connection that is lost is tried again, which nobody needs to be told here.
    logging.getLogger("hardlydifficult_worker").setLevel(logging.ERROR)
    # Ctrl-C is for the whole group: the server drains, and this worker is needed for that.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_with_the_parent, daemon=True).start()
    worker.run()


if __name__ == "__main__":
    main()
