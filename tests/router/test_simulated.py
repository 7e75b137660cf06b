"""What the simulated provider promises: the same answer to the same request, in OpenAI's forms and failures."""

import base64
import json
import struct
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from router.catalogue import Simulation
from router.protocols import openai
from router.simulated import SimulatedProvider
from router.sse import Blocks, block_data
from tests.router.samples import quick


async def ask(text: str = "How do I reset my password?", answers: dict[str, str] | None = None, **fields: Any) -> bytes:
    """The body of the answer."""
    response = await respond(text, answers, **fields)
    assert response.status_code == 200
    return await response.aread()


async def respond(text: str, answers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    body = {"model": "gpt-5", "messages": [{"role": "user", "content": text}]} | fields
    known = {asked: (answer,) for asked, answer in (answers or {}).items()}
    provider = SimulatedProvider(Simulation(answers=known))
    request = httpx.Request("POST", "http://simulated/v1/chat/completions", json=body)
    return await provider.handle_async_request(request)


def chunks_of(stream: bytes) -> list[dict[str, Any]]:
    payloads = [block_data(block) or b"" for block in Blocks().feed(stream)]
    assert payloads[-1] == b"[DONE]"
    return [json.loads(payload) for payload in payloads[:-1]]


async def test_the_same_request_gets_the_same_answer() -> None:
    assert await ask() == await ask()
    assert await ask(stream=True) == await ask(stream=True)


async def test_another_question_gets_another_answer() -> None:
    first, second = json.loads(await ask("Where is my order?")), json.loads(await ask("Where is my refund?"))

    assert first["choices"][0]["message"]["content"] != second["choices"][0]["message"]["content"]
    assert first["id"] != second["id"]


async def test_a_known_question_gets_its_own_answer() -> None:
    answer = json.loads(await ask("Opening hours?", {"Opening hours?": "Nine to five."}))

    assert answer["choices"][0]["message"]["content"] == "Nine to five."


async def test_an_answer_is_what_the_protocol_says() -> None:
    answer = ChatCompletion.model_validate_json(await ask())

    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@quick
@given(st.text(max_size=60), st.integers(1, 40))
async def test_a_stream_says_the_same_as_the_json_answer(answer: str, limit: int) -> None:
    fields = {"max_tokens": limit, "answers": {"Hello": answer}}

    whole = json.loads(await ask("Hello", **fields))
    chunks = chunks_of(await ask("Hello", stream=True, stream_options={"include_usage": True}, **fields))

    collected = openai.body_from_chunks(chunks)
    assert collected["choices"][0]["message"]["content"] == whole["choices"][0]["message"]["content"]
    assert collected["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert collected["usage"] == whole["usage"]
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk)


async def test_usage_is_streamed_only_where_it_was_asked_for() -> None:
    without = chunks_of(await ask(stream=True))

    assert not any("usage" in chunk for chunk in without)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_a_limit_is_kept_and_the_answer_says_that_it_was_cut(field: str) -> None:
    answer = json.loads(await ask(**{field: 5}))

    assert answer["usage"]["completion_tokens"] == 5
    assert answer["choices"][0]["finish_reason"] == "length"
    assert openai.plain_answer(answer) is None


async def test_an_answer_within_its_limit_is_not_cut() -> None:
    answer = json.loads(await ask("Hello", {"Hello": "Hi."}, max_tokens=1))

    assert answer["choices"][0] | {"logprobs": 0} == {
        "index": 0,
        "message": {"role": "assistant", "content": "Hi.", "refusal": None},
        "logprobs": 0,
        "finish_reason": "stop",
    }


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
async def test_a_model_named_after_a_status_answers_with_it(status: int) -> None:
    response = await respond("Hello", model=f"sim-{status}")

    error = openai.parse_error(response.status_code, response.headers, await response.aread(), 0.0)
    assert (error.status, error.retry_after_s) == (status, 0.0)


async def test_an_unreachable_provider_refuses_the_connection() -> None:
    with pytest.raises(httpx.ConnectError):
        await respond("Hello", model="sim-unreachable")


@pytest.mark.parametrize("model", ["sim-garbled", "sim-cut"])
async def test_a_broken_answer_is_no_json(model: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(await ask(model=model))


async def test_a_cut_stream_ends_without_a_finish_and_without_done() -> None:
    stream = await ask(model="sim-cut", stream=True)

    assert b"[DONE]" not in stream
    assert b'"finish_reason":"stop"' not in stream
    assert stream.count(b"data: ") > 1


async def test_an_error_comes_with_a_success_status_where_the_name_says_so() -> None:
    assert json.loads(await ask(model="sim-error-in-200"))["error"]["type"] == "server_error"


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "image_url", "image_url": {}}]}],
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
    ],
)
async def test_the_last_messages_text_is_the_question(messages: list[dict[str, Any]]) -> None:
    answer = json.loads(await ask(answers={"Hello": "Hi."}, messages=messages))

    assert answer["choices"][0]["message"]["content"] == "Hi."


async def test_every_message_counts_as_input() -> None:
    short = json.loads(await ask("Hello"))["usage"]["prompt_tokens"]
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi."}]
    long = json.loads(await ask(messages=[*turns, {"role": "user", "content": "Hello"}]))["usage"]["prompt_tokens"]

    assert long > 2 * short


# --- embeddings ---------------------------------------------------------------------------------------------


async def embed(**fields: Any) -> Any:
    request = httpx.Request("POST", "http://simulated/v1/embeddings", json={"model": "embed"} | fields)
    response = await SimulatedProvider(Simulation()).handle_async_request(request)
    return json.loads(await response.aread())


@quick
@given(texts=st.lists(st.text(min_size=1), min_size=1, max_size=4))
async def test_a_text_always_has_the_same_vector_of_length_one(texts: list[str]) -> None:
    together = CreateEmbeddingResponse.model_validate(await embed(input=texts, dimensions=64))
    alone = [(await embed(input=text, dimensions=64))["data"][0]["embedding"] for text in texts]

    assert [item.embedding for item in together.data] == alone
    assert all(abs(sum(number**2 for number in vector) - 1) < 1e-5 for vector in alone)


@pytest.mark.parametrize("given_input", ["text", ["one", "two"], [1, 2, 3], [[1, 2], [3]]])
async def test_every_form_of_input_and_both_encodings_say_the_same(given_input: Any) -> None:
    floats = await embed(input=given_input, dimensions=32)
    packed = await embed(input=given_input, dimensions=32, encoding_format="base64")

    for one, other in zip(floats["data"], packed["data"], strict=True):
        assert one["embedding"] == list(struct.unpack("<32f", base64.b64decode(other["embedding"])))
    assert floats["usage"] == packed["usage"]
