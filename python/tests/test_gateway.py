"""OpenAI's own client against the gateway of the real server, with this worker behind it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from conftest import QUICK, Listen, Start
from hardlydifficult_worker import RequestContext, RequestError, Worker
from real_server import NodeServer, available

pytest.importorskip("openai", reason="needs OpenAI's client: pip install openai")

import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

pytestmark = pytest.mark.skipif(not available, reason="needs Node and a checkout of the whole repository")

KEY = "sk-of-the-client"
MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
TOOL_CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Köln"}'}}

Begin = Callable[..., tuple[NodeServer, openai.OpenAI]]


@pytest.fixture
def begin(listen: Listen, start: Start) -> Iterator[Begin]:
    clients: list[openai.OpenAI] = []

    def run(handler: Callable[..., Any], **options: Any) -> tuple[NodeServer, openai.OpenAI]:
        server = listen(gateway={"apiKeys": [KEY]}, **options)
        worker = Worker(server.url, worker_id="w", models=["gpt"], concurrency=2, **QUICK)
        worker.handler()(handler)
        start(worker)
        server.expect("connected")
        clients.append(openai.OpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{server.port}/v1", timeout=15))
        return server, clients[-1]

    yield run
    for client in clients:
        client.close()


def completion(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt", "choices": [choice]}


def delta(content: str) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": None}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt", "choices": [choice]}


def text_of(chunk: ChatCompletionChunk) -> str | None:
    return chunk.choices[0].delta.content


def test_models_are_listed_and_retrieved(begin: Begin) -> None:
    _, client = begin(lambda payload, context: None)
    assert [model.id for model in client.models.list()] == ["gpt"]
    assert client.models.retrieve("gpt").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("a/b")


def test_a_chat_with_tools_is_passed_on_and_answered(begin: Begin) -> None:
    seen: list[Any] = []

    def handler(payload: Any, context: RequestContext) -> Any:
        seen.append(payload)
        return completion(content=None, tool_calls=[TOOL_CALL])

    _, client = begin(handler)
    answer = client.chat.completions.create(
        model="gpt",
        messages=MESSAGES,
        tools=[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
    )
    assert seen[0]["path"] == "/chat/completions"
    assert seen[0]["body"]["messages"] == MESSAGES
    assert answer.choices[0].message.tool_calls is not None
    assert answer.choices[0].message.tool_calls[0].to_dict() == TOOL_CALL
    assert answer._request_id


def test_a_chat_is_streamed_token_by_token(begin: Begin) -> None:
    tokens = ["Hel", "lo", " Wörld 🙂\n\n"]

    async def handler(payload: Any, context: RequestContext) -> AsyncIterator[Any]:
        for token in tokens:
            yield delta(token)

    _, client = begin(handler)
    with client.chat.completions.create(model="gpt", messages=MESSAGES, stream=True) as stream:
        assert [text_of(chunk) for chunk in stream] == tokens


def test_responses_are_streamed_by_the_types_of_their_events(begin: Begin) -> None:
    def handler(payload: Any, context: RequestContext) -> Iterator[Any]:
        yield {"type": "response.output_text.delta", "sequence_number": 0, "delta": "Hi"}

    _, client = begin(handler)
    with client.responses.create(model="gpt", input="x", stream=True) as stream:
        assert [event.type for event in stream] == ["response.output_text.delta"]


def test_an_error_in_the_middle_of_a_stream_ends_it(begin: Begin) -> None:
    def handler(payload: Any, context: RequestContext) -> Iterator[Any]:
        yield delta("Hel")
        raise RequestError("out of memory")

    _, client = begin(handler)
    texts = []
    with client.chat.completions.create(model="gpt", messages=MESSAGES, stream=True) as stream:
        texts.append(text_of(next(iter(stream))))
        with pytest.raises(openai.APIError, match="out of memory"):
            next(iter(stream))
    assert texts == ["Hel"]


def test_errors_are_the_classes_of_the_client_and_it_repeats_only_what_cannot_have_run(begin: Begin) -> None:
    calls: list[str] = []

    def handler(payload: Any, context: RequestContext) -> Any:
        user = payload["body"].get("user", "")
        calls.append(user)
        if user == "long":
            body = {"error": {"message": "too long", "code": "context_length_exceeded"}}
            raise RequestError("x", data={"status": 400, "body": body})
        raise RequestError("broken")

    server, client = begin(handler)
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model="gpt", messages=MESSAGES, user="long")
    assert wrong.value.code == "context_length_exceeded"
    assert wrong.value.request_id
    with pytest.raises(openai.InternalServerError) as broken:
        client.chat.completions.create(model="gpt", messages=MESSAGES, user="broken")
    assert broken.value.code == "worker_error"
    assert calls == ["long", "broken"]
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-wrong").models.list()
    server.tell("drain")
    while server.next()["event"] != "drained":
        pass
    with pytest.raises(openai.InternalServerError) as stopping:
        client.with_options(max_retries=1).chat.completions.create(model="gpt", messages=MESSAGES)
    assert stopping.value.code == "server_stopping"
    assert stopping.value.response.request.headers["x-stainless-retry-count"] == "1"


def test_a_client_that_leaves_a_stream_ends_the_work(begin: Begin) -> None:
    ended = threading.Event()

    async def handler(payload: Any, context: RequestContext) -> AsyncIterator[Any]:
        try:
            for token in range(10**9):
                yield delta(str(token))
        finally:
            ended.set()

    _, client = begin(handler)
    with client.chat.completions.create(model="gpt", messages=MESSAGES, stream=True) as stream:
        assert text_of(next(iter(stream))) == "0"
    assert ended.wait(15)
