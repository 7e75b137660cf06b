"""Ollama as a provider. First its simulator alone, with Ollama's official SDK; then the gateway in front of it, with
OpenAI's."""

import base64
from collections.abc import Iterator
from typing import Any

import ollama as sdk
import pytest
from openai import APIError, BadRequestError, InternalServerError, NotFoundError, OpenAI, RateLimitError
from pydantic import BaseModel

from tests.app.configuration import route
from tests.app.provider import HANG_UP, cut_up, unfinished
from tests.app.simulators.ollama import (
    KEY,
    MODEL,
    Ollama,
    called,
    failure,
    in_pieces,
    last,
    line,
    running_ollama,
    step,
    streamed,
    whole,
)
from tests.running import RunningGateway, running_gateway

UNICODE = "Grüße, 你好, שלום, 👩‍👩‍👧‍👦\u2028\u0085 end"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
TOOL: Any = {
    "type": "function",
    "function": {"name": "find_order", "parameters": {"type": "object", "properties": {"id": {"type": "integer"}}}},
}
STREAMS = pytest.mark.parametrize("streams", [False, True], ids=["json", "stream"])


@pytest.fixture(scope="module")
def upstream() -> Iterator[Ollama]:
    with running_ollama() as simulator:
        yield simulator


@pytest.fixture
def ollama(upstream: Ollama) -> Ollama:
    upstream.reset()
    return upstream


# --- the simulator, as Ollama's own SDK sees it ---------------------------------------------------------------------


@pytest.fixture
def own(ollama: Ollama) -> Iterator[sdk.Client]:
    with sdk.Client(host=ollama.base_url, headers={"authorization": f"Bearer {KEY}"}) as client:
        yield client


def test_the_sdk_reads_a_whole_answer(own: sdk.Client, ollama: Ollama) -> None:
    ollama.script(MODEL, whole(UNICODE, thinking="Hm.", tool_calls=[called("find_order", id=7)]))

    answer = own.chat(
        model=MODEL,
        messages=[{"role": "user", "content": "Hello", "images": [PNG]}],
        tools=[TOOL],
        format={"type": "object"},
        think="low",
        options={"temperature": 0.5, "stop": ["END"], "num_predict": 9},
    )

    assert (answer.message.content, answer.message.thinking) == (UNICODE, "Hm.")
    assert answer.message.tool_calls is not None
    assert answer.message.tool_calls[0].function.arguments == {"id": 7}
    assert (answer.done, answer.done_reason, answer.prompt_eval_count, answer.eval_count) == (True, "stop", 12, 7)


def test_the_sdk_reads_a_stream(own: sdk.Client, ollama: Ollama) -> None:
    words = UNICODE.partition("\u2028")[0]  # this SDK cuts lines at U+2028 and U+0085
    raw = b"".join(line(each) for each in (step("Hel"), step(f"lo {words}"), last()))
    ollama.script(MODEL, in_pieces(cut_up(raw, 11)))

    parts = list(own.chat(model=MODEL, messages=[{"role": "user", "content": "Hello"}], stream=True))

    assert "".join(part.message.content or "" for part in parts) == f"Hello {words}"
    assert parts[-1].done


def test_the_sdk_reads_errors_before_and_inside_a_stream(own: sdk.Client, ollama: Ollama) -> None:
    ollama.script(MODEL, failure(404, f"model '{MODEL}' not found"), streamed(step("Hel"), {"error": "out of memory"}))

    with pytest.raises(sdk.ResponseError, match="not found") as failed:
        own.chat(model=MODEL, messages=[{"role": "user", "content": "Hello"}])
    assert failed.value.status_code == 404
    with pytest.raises(sdk.ResponseError, match="out of memory"):
        list(own.chat(model=MODEL, messages=[{"role": "user", "content": "Hello"}], stream=True))


def test_the_simulator_turns_away_a_wrong_key(ollama: Ollama) -> None:
    with sdk.Client(host=ollama.base_url) as stranger, pytest.raises(sdk.ResponseError, match="unauthorized"):
        stranger.chat(model=MODEL, messages=[{"role": "user", "content": "Hello"}])


# --- the gateway in front of it -------------------------------------------------------------------------------------

CONFIGURATION = """
[providers.local]
protocol = "ollama"
base_url = "{url}"
api_key = "env:OLLAMA_KEY"
retries = 0
[models.qwen]
tier = "mid"
accepts = ["image_url", "file"]
[[models.qwen.deployments]]
provider = "local"
model = "{model}"
list_price = {{ input = 2, output = 12 }}
"""


@pytest.fixture(scope="module")
def gateway(
    upstream: Ollama, tmp_path_factory: pytest.TempPathFactory, encoder_folder: object
) -> Iterator[RunningGateway]:
    configuration = CONFIGURATION.format(url=upstream.base_url, model=MODEL)
    configuration += route("default", "qwen", cache='mode = "off"')
    with running_gateway(tmp_path_factory.mktemp("ollama"), configuration, {"OLLAMA_KEY": KEY}) as gateway:
        yield gateway


def says(content: Any = "Hello") -> Any:
    return [{"role": "user", "content": content}]


def asked(ollama: Ollama) -> dict[str, Any]:
    """What the provider was asked last."""
    found: dict[str, Any] = ollama.calls[-1].received.json
    return found


def test_an_answer_is_the_providers_and_its_row_counts_every_token(
    client: OpenAI, ollama: Ollama, gateway: RunningGateway
) -> None:
    ollama.script(MODEL, whole(UNICODE, thinking="Hm."))

    answer = client.chat.completions.create(
        model="qwen",
        messages=[{"role": "developer", "content": "Be kind."}, *says()],
        temperature=0.5,
        seed=7,
        stop="END",
        max_tokens=99,
    )

    assert answer.choices[0].message.content == UNICODE
    assert answer.choices[0].message.model_extra == {"reasoning_content": "Hm."}
    assert (answer.choices[0].finish_reason, answer.model) == ("stop", MODEL)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (12, 7, 19)
    assert asked(ollama) == {
        "model": MODEL,
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}],
        "stream": False,
        "options": {"temperature": 0.5, "seed": 7, "num_predict": 99, "stop": ["END"]},
    }
    row = gateway.row(request_id=answer._request_id)
    assert (row.input_tokens, row.output_tokens, row.usage_source) == (12, 7, "provider")
    assert row.actual_nano == 12 * 2000 + 7 * 12_000


def test_a_stream_is_the_same_answer_with_usage_only_for_who_asks(client: OpenAI, ollama: Ollama) -> None:
    raw = b"".join(line(each) for each in (step(thinking="Hm."), step("Some "), step(UNICODE), last()))
    ollama.script(MODEL, in_pieces(cut_up(raw, 5)))

    with client.chat.completions.create(
        model="qwen", messages=says(), stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == f"Some {UNICODE}"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 19
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1

    ollama.script(MODEL, in_pieces([raw]))
    with client.chat.completions.create(model="qwen", messages=says(), stream=True) as stream:
        assert all(chunk.choices for chunk in stream)


@STREAMS
def test_calls_go_there_and_their_results_back(client: OpenAI, ollama: Ollama, streams: bool) -> None:
    made = [called("find_order", id=7), called("find_order", id=8), called("now")]
    reply = (
        streamed(step(tool_calls=made[:2]), step(tool_calls=made[2:]), last()) if streams else whole(tool_calls=made)
    )
    ollama.script(MODEL, reply, whole("Done."))
    fields: Any = {"model": "qwen", "tools": [TOOL], "tool_choice": "auto"}

    if streams:
        with client.chat.completions.stream(messages=says(), **fields) as stream:
            choice: Any = stream.get_final_completion().choices[0]
    else:
        choice = client.chat.completions.create(messages=says(), **fields).choices[0]
    calls = choice.message.tool_calls
    assert [call.function.arguments for call in calls] == ['{"id":7}', '{"id":8}', "{}"]
    assert len({call.id for call in calls}) == 3
    assert choice.finish_reason == "tool_calls"

    functions = [{"name": call.function.name, "arguments": call.function.arguments} for call in calls]
    said = [
        {"id": call.id, "type": "function", "function": function}
        for call, function in zip(calls, functions, strict=True)
    ]
    results = [{"role": "tool", "tool_call_id": call.id, "content": f"found {call.id}"} for call in calls]
    history: Any = [*says(), {"role": "assistant", "content": None, "tool_calls": said}, *results]
    answer = client.chat.completions.create(model="qwen", tools=[TOOL], messages=history)

    assert answer.choices[0].message.content == "Done."
    _, back, *returned = asked(ollama)["messages"]
    assert [call["function"]["arguments"] for call in back["tool_calls"]] == [{"id": 7}, {"id": 8}, {}]
    assert [message["tool_name"] for message in returned] == ["find_order", "find_order", "now"]
    assert [message["content"] for message in returned] == [f"found {call.id}" for call in calls]


def test_pictures_are_forwarded_as_bytes(client: OpenAI, ollama: Ollama) -> None:
    ollama.script(MODEL, whole("I see."))
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}

    client.chat.completions.create(model="qwen", messages=says([{"type": "text", "text": "See:"}, picture]))

    assert asked(ollama)["messages"] == [{"role": "user", "content": "See:", "images": [PNG]}]


@pytest.mark.parametrize(
    ("part", "param"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://a.invalid/b.png"}},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0="}},
            "messages[0].content[0].type",
        ),
    ],
)
def test_what_it_cannot_take_is_refused_by_its_part_and_fetched_by_nobody(
    client: OpenAI, ollama: Ollama, part: Any, param: str
) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.chat.completions.create(model="qwen", messages=says([part]))

    assert refused.value.param == param
    assert ollama.calls == []


class Verdict(BaseModel):
    is_fine: bool


def test_a_schema_is_kept_to(client: OpenAI, ollama: Ollama) -> None:
    ollama.script(MODEL, whole('{"is_fine": true}'))

    answer = client.chat.completions.parse(model="qwen", messages=says(), response_format=Verdict)

    assert answer.choices[0].message.parsed == Verdict(is_fine=True)
    assert asked(ollama)["format"]["required"] == ["is_fine"]


def test_a_field_without_a_form_there_is_refused_and_harmless_ones_are_told(client: OpenAI, ollama: Ollama) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.chat.completions.create(model="qwen", messages=says(), tools=[TOOL], tool_choice="required")
    assert refused.value.param == "tool_choice"
    assert ollama.calls == []

    ollama.script(MODEL, whole("x"))
    answer = client.chat.completions.with_raw_response.create(model="qwen", messages=says(), service_tier="flex")
    assert answer.headers["x-thriftgate-warning"] == "not passed on: service_tier"


def test_a_model_that_is_not_there_is_not_found(client: OpenAI, ollama: Ollama) -> None:
    ollama.script(MODEL, failure(404, f"model '{MODEL}' not found"))

    with pytest.raises(NotFoundError, match="not found"):
        client.chat.completions.create(model="qwen", messages=says())


def test_a_busy_server_says_when_to_come_back(client: OpenAI, ollama: Ollama) -> None:
    ollama.script(MODEL, failure(429, "too many requests of account 7", retry_after="7"))

    with pytest.raises(RateLimitError) as failed:
        client.chat.completions.create(model="qwen", messages=says())

    assert int(failed.value.response.headers["retry-after"]) in range(1, 9)
    assert "account 7" not in failed.value.response.text


@STREAMS
def test_a_failing_model_is_the_providers_fault(client: OpenAI, ollama: Ollama, streams: bool) -> None:
    ollama.script(MODEL, failure(500, f"llama runner process at {ollama.base_url} has terminated"))

    with pytest.raises(InternalServerError) as failed:
        client.chat.completions.create(model="qwen", messages=says(), stream=streams)

    assert ollama.base_url not in failed.value.response.text


@pytest.mark.parametrize("ending", ["hung up", "ended in good order", "half a line", "a line without its end"])
def test_a_cut_stream_never_looks_complete(
    client: OpenAI, ollama: Ollama, gateway: RunningGateway, ending: str
) -> None:
    replies = {
        "hung up": unfinished(streamed(step("Half an ans")), HANG_UP),
        "ended in good order": streamed(step("Half an ans")),
        "half a line": streamed(step("Half an ans"), line(last())[:20]),
        "a line without its end": streamed(line(step("Half an ans")).rstrip()),
    }
    ollama.script(MODEL, replies[ending])

    seen = []
    with pytest.raises(APIError), client.chat.completions.create(model="qwen", messages=says(), stream=True) as stream:
        seen += [chunk.choices[0].finish_reason for chunk in stream]

    assert not any(seen)
    row = gateway.rows()[-1]
    assert (row.status, row.usage_source) == ("upstream_cut", "estimated")


def test_an_error_in_the_midst_of_a_stream_ends_it(client: OpenAI, ollama: Ollama) -> None:
    ollama.script(MODEL, streamed(step("Half"), {"error": "out of memory"}))

    with (
        client.chat.completions.create(model="qwen", messages=says(), stream=True) as stream,
        pytest.raises(APIError),
    ):
        list(stream)
