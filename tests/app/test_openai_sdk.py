"""The official OpenAI SDK works unchanged: `base_url` and a key are all that an application sets."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import (
    APIError,
    AsyncOpenAI,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    RateLimitError,
)

from tests.app.configuration import ENVIRONMENT, SECRET, budget, route, scripted
from tests.app.provider import (
    DONE,
    HANG,
    HANG_UP,
    Provider,
    chat_body,
    chat_chunk,
    chat_events,
    cut_up,
    error_reply,
    event,
    json_reply,
    stream_reply,
    streamed,
    unfinished,
    usage_chunk,
)
from tests.running import RunningGateway, eventually, running_gateway

# Two, three and four bytes long in UTF-8, joined emoji, combining marks, right-to-left, and a line separator,
# which ends a line for JavaScript and for nobody else.
UNICODE = "Grüße, Ωμέγα, 你好, שלום, é, 👩‍👩‍👧‍👦🏳️‍🌈\u2028 end"
TOOL = {
    "type": "function",
    "function": {"name": "find_order", "parameters": {"type": "object", "properties": {"id": {"type": "string"}}}},
}


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    configuration = scripted(upstream) + route("default") + budget("teams.poor", 1)
    with running_gateway(tmp_path_factory.mktemp("sdk"), configuration, ENVIRONMENT) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def fresh(gateway: RunningGateway) -> None:
    """What one test has done to a provider is forgotten before the next."""
    gateway.reset_deployments()


@pytest.fixture(scope="module")
def key(gateway: RunningGateway) -> str:
    return gateway.key()


@pytest.fixture
def client(gateway: RunningGateway, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as client:
        yield client


def says(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


# --- answers -------------------------------------------------------------------------------------------------


def test_a_completion_is_what_the_provider_answered(client: OpenAI, provider: Provider) -> None:
    provider.script("large-2025", json_reply(chat_body(UNICODE, prompt_tokens=31, completion_tokens=19)))

    answer = client.chat.completions.create(model="large", messages=says("Say something in many scripts."))

    assert answer.choices[0].message.content == UNICODE
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (31, 19)
    assert answer.model == "scripted-2025-01-01"
    assert (answer._request_id or "").startswith("req_")


def test_a_stream_gives_every_piece_in_order(client: OpenAI, provider: Provider) -> None:
    pieces = ["One ", "two ", UNICODE, " four"]
    provider.script("large-2025", stream_reply(streamed(pieces)))

    with client.chat.completions.create(model="large", messages=says("Count in pieces."), stream=True) as stream:
        seen = [chunk.choices[0].delta.content for chunk in stream]

    assert [piece for piece in seen if piece] == pieces


def test_a_stream_that_asks_for_usage_gets_it_last(client: OpenAI, provider: Provider) -> None:
    events = [*chat_events(["Some ", "words"]), usage_chunk(40, 2), DONE]
    provider.script("large-2025", stream_reply(events))

    with client.chat.completions.create(
        model="large", messages=says("Answer with usage."), stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)

    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 42
    assert all(chunk.usage is None for chunk in chunks[:-1])


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": False}}, {"stream_options": None}])
def test_a_stream_that_does_not_ask_for_usage_gets_none_of_the_usage_that_the_ledger_asked_for(
    gateway: RunningGateway, key: str, provider: Provider, options: dict[str, Any]
) -> None:
    events = chat_events(["No ", "usage"])
    provider.script("large-2025", stream_reply([*events, usage_chunk(40, 2), DONE]))
    question = f"Answer without usage, options {options}."

    with gateway.stream(key, question, model="large", **options) as answer:
        seen = answer.read()

    assert seen == b"".join(events) + DONE
    assert provider.calls_with(question)[0].received.json["stream_options"]["include_usage"] is True
    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.input_tokens, row.output_tokens, row.usage_source) == (40, 2, "provider")


async def test_the_asynchronous_client_works_likewise(gateway: RunningGateway, key: str, provider: Provider) -> None:
    provider.script("small-2025", json_reply(chat_body(UNICODE)), stream_reply(streamed([UNICODE, "!"])))

    async with AsyncOpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as client:
        whole = await client.chat.completions.create(model="small", messages=says("Answer this in one piece."))
        stream = await client.chat.completions.create(
            model="small", messages=says("Answer this in pieces, please."), stream=True
        )
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert whole.choices[0].message.content == UNICODE
    assert "".join(pieces) == UNICODE + "!"


async def test_fifty_streams_at_once_are_byte_exact_however_the_network_cuts_their_characters(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    questions = [f"Write text number {number} of the fifty." for number in range(50)]
    texts = {question: f"{number}: {UNICODE * (1 + number % 3)}" for number, question in enumerate(questions)}
    events = {question: streamed(cut_text(text)) for question, text in texts.items()}
    gate = provider.gate()
    provider.script(
        "small-2025",
        lambda received: stream_reply(
            [gate, *cut_up(b"".join(events[received.text]), 7 + questions.index(received.text))]
        ),
    )

    async with AsyncOpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as client:

        async def raw(question: str) -> bytes:
            async with client.chat.completions.with_streaming_response.create(
                model="small",
                messages=says(question),
                stream=True,
                stream_options={"include_usage": True},
            ) as answer:
                return await answer.read()

        async def text(question: str) -> str:
            stream = await client.chat.completions.create(
                model="small",
                messages=says(question),
                stream=True,
                extra_headers={"cache-control": "no-store"},
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

        under_way = [asyncio.create_task(raw(question)) for question in questions[:25]]
        under_way += [asyncio.create_task(text(question)) for question in questions[25:]]
        await asyncio.to_thread(eventually, lambda: gate.arrived == 50)  # all fifty are open at the same time
        gate.open()
        found = await asyncio.gather(*under_way)

    assert found[:25] == [b"".join(events[question]) for question in questions[:25]]
    assert found[25:] == [texts[question] for question in questions[25:]]


def test_a_stream_that_comes_byte_by_byte_is_the_same_stream(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    events = b"".join([*chat_events(["é🏳️‍🌈"]), DONE])
    provider.script("small-2025", stream_reply(cut_up(events, 1)))

    with gateway.stream(key, "Drip, please.", model="small") as answer:
        assert answer.read() == events


@pytest.mark.parametrize("streams", [False, True])
def test_a_provider_may_end_its_answer_by_hanging_up(
    gateway: RunningGateway, key: str, provider: Provider, streams: bool
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\nconnection: close\r\n\r\n"
    content = b"".join(streamed(["Good", "bye."])) if streams else json.dumps(chat_body("Goodbye.")).encode()
    form = b"text/event-stream; charset=utf-8" if streams else b"application/json"
    provider.script("small-2025", [head % form + content[:90], content[90:], HANG_UP])

    answer = gateway.chat(key, f"Say goodbye, {streams}.", model="small", stream=streams)

    assert answer.status_code == 200
    if streams:
        assert answer.content == b"".join([*chat_events(["Good", "bye."]), DONE])
    else:
        assert answer.content == content


def test_a_stream_without_its_end_marker_gets_one_if_it_had_finished(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    events = b"".join(chat_events(["No ", "marker."]))
    provider.script("small-2025", stream_reply([events, usage_chunk()]))

    with gateway.stream(key, "End without a marker.", model="small") as answer:
        assert answer.read() == events + DONE
    assert gateway.row(request_id=answer.headers["x-request-id"]).status == "ok"


def test_a_stream_has_ended_with_its_end_marker_whatever_the_provider_does_then(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    whole = b"".join([*chat_events(["Done."]), DONE])
    provider.script("small-2025", stream_reply([whole, chat_chunk({"content": "after the end"}), HANG]))

    with gateway.stream(key, "End, and stay on the line.", model="small") as answer:
        assert answer.read() == whole
    eventually(lambda: provider.calls[0].is_hung_up.is_set())


def test_a_provider_that_cannot_stream_is_streamed_to_the_client_all_the_same(
    client: OpenAI, provider: Provider
) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "find_order", "arguments": '{"id": "ü4"}'}}
    provider.script(
        "small-2025", json_reply(chat_body("Looking.", finish="tool_calls", tool_calls=[call, call | {"id": "call_2"}]))
    )

    with client.chat.completions.create(
        model="small",
        messages=says("Stream what comes at once."),
        tools=[TOOL],  # type: ignore[list-item]
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)

    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "Looking."
    calls = [found for delta in deltas for found in delta.tool_calls or ()]
    assert [(found.index, found.id) for found in calls] == [(0, "call_1"), (1, "call_2")]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "tool_calls"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 19


def cut_text(text: str) -> list[str]:
    """Pieces of three characters."""
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def test_an_answer_reaches_the_client_byte_for_byte_with_every_field_that_nobody_knows(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    # Odd spacing, an escape that need not be one, a repeated key, a number in an unusual form.
    body = (
        b'{ "id":"x","future": {"b":[1,2.50,1E3], "a":null},\n "object":"chat.completion", "created":1,"model":"m",'
        b'"choices":[{"index":0,"finish_reason":"stop","novel":true,'
        b'"message":{"role":"assistant","content":"gr\\u00fc\xc3\x9fe","reasoning_content":"hm"}}],'
        b'"service_tier":"default","service_tier":"default",'
        b'"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"novel_tokens":9} }\n'
    )
    provider.script("large-2025", json_reply(body))

    answer = gateway.chat(key, "Answer with fields of the future.", model="large")

    assert answer.content == body
    assert answer.headers["content-type"] == "application/json"


def test_a_stream_reaches_the_client_byte_for_byte_with_comments_odd_lines_and_unknown_fields(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    sent = (
        b": keep-alive\n\n"
        + chat_chunk({"role": "assistant", "content": ""}, obfuscation="q8", novel={"a": [1.50]})
        + b"event: message\r\nid: 7\r\ndata: "
        + chat_chunk({"content": UNICODE})[6:-2]
        + b"\r\n\r\n"
        + b'data:{"id":"x","choices":[{"index":0,\ndata: "delta":{"content":"two lines"},"finish_reason":null}]}\n\n'
        + chat_chunk({}, "stop", usage=None)
        + DONE
    )
    provider.script("large-2025", stream_reply(cut_up(sent, 11)))

    with gateway.stream(key, "Stream with fields of the future.", model="large") as answer:
        assert answer.read() == sent
        assert answer.headers["content-type"].startswith("text/event-stream")


# --- requests ------------------------------------------------------------------------------------------------


def test_fields_that_nobody_knows_reach_the_provider_untouched(client: OpenAI, provider: Provider) -> None:
    fields = {
        "novel": {"nested": [1, 2.5, None, True, {"ключ": UNICODE}], "empty": {}},
        "seed": 18_446_744_073_709_551_615,
        "top_k": -1,
        "logit_bias": {"50256": -100},
        "temperature": 1e-7,
        "reasoning_effort": "minimal",
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
    }
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}], "novel": 1},
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": UNICODE, "novel": {"x": 1}}]},
    ]

    client.chat.completions.create(model="medium", messages=messages, extra_body=fields)  # type: ignore[arg-type]

    received = provider.calls_to("medium-2025")[-1].received
    assert received.json == {"model": "medium-2025", "messages": messages, **fields}
    assert (received.method, received.target) == ("POST", "/v1/chat/completions")


def test_a_stream_changes_only_the_model_and_the_usage_option(client: OpenAI, provider: Provider) -> None:
    options = {"include_usage": False, "novel_option": [1]}

    with client.chat.completions.create(
        model="medium",
        messages=says("Keep my stream options."),
        stream=True,
        max_completion_tokens=77,
        stream_options=options,  # type: ignore[arg-type]
    ) as stream:
        assert list(stream)

    assert provider.calls_with("Keep my stream options.")[0].received.json == {
        "model": "medium-2025",
        "messages": says("Keep my stream options."),
        "stream": True,
        "max_completion_tokens": 77,
        "stream_options": options | {"include_usage": True},
    }


def test_what_was_checked_is_what_is_sent_even_where_a_field_comes_twice(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    body = (
        b'{"model": "large", "max_tokens": 5, "messages": [{"role": "user", "content": "one"}], '
        b'"messages": [{"role": "user", "content": "two", "content": "three"}], "model": "small", "max_tokens": 6}'
    )
    answer = gateway.request("POST", "/v1/chat/completions", content=body, headers={"authorization": f"Bearer {key}"})

    assert answer.headers["x-thriftgate-model"] == "small"
    sent = provider.calls[0].received.body
    assert sent.count(b'"model"') == sent.count(b'"messages"') == sent.count(b'"max_tokens"') == 1
    assert json.loads(sent) == {
        "model": "small-2025",
        "max_tokens": 6,
        "messages": [{"role": "user", "content": "three"}],
    }


def test_the_provider_sees_our_key_and_nothing_of_the_callers(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    with OpenAI(base_url=gateway.base_url, api_key=key, organization="org-callers", max_retries=0) as client:
        client.chat.completions.create(
            model="small", messages=says("Whose key is it?"), extra_headers={"x-private": "callers-own"}
        )

    headers = provider.calls_with("Whose key is it?")[0].received.headers
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert not [value for value in headers.values() if key in value or "callers" in value]


# --- tools ---------------------------------------------------------------------------------------------------


def test_tool_calls_pass_through(client: OpenAI, provider: Provider) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "find_order", "arguments": '{"id": "ü4"}'}}
    provider.script("large-2025", json_reply(chat_body(None, finish="tool_calls", tool_calls=[call])))

    answer = client.chat.completions.create(
        model="large",
        messages=says("Where is the parcel?"),
        tools=[TOOL],  # type: ignore[list-item]
        tool_choice="auto",
    )

    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls is not None
    assert answer.choices[0].message.tool_calls[0].model_dump(exclude_none=True) == call
    sent = provider.calls_with("Where is the parcel?")[0].received.json
    assert (sent["tools"], sent["tool_choice"]) == ([TOOL], "auto")


def test_streamed_tool_calls_pass_through(client: OpenAI, provider: Provider) -> None:
    def part(**fields: Any) -> bytes:
        return chat_chunk({"tool_calls": [{"index": 0, **fields}]})

    events = [
        chat_chunk({"role": "assistant", "content": None}),
        part(id="call_1", type="function", function={"name": "find_order", "arguments": ""}),
        part(function={"arguments": '{"id": '}),
        part(function={"arguments": '"ü4"}'}),
        chat_chunk({}, "tool_calls"),
        usage_chunk(),
        DONE,
    ]
    provider.script("large-2025", stream_reply(cut_up(b"".join(events), 13)))

    arguments, names = "", []
    with client.chat.completions.create(
        model="large",
        messages=says("Where is the other parcel?"),
        tools=[TOOL],  # type: ignore[list-item]
        stream=True,
    ) as stream:
        for chunk in stream:
            for call in chunk.choices[0].delta.tool_calls or ():
                assert call.function is not None
                arguments += call.function.arguments or ""
                names += [call.function.name] if call.function.name else []

    assert (names, json.loads(arguments)) == (["find_order"], {"id": "ü4"})


# --- models and errors ----------------------------------------------------------------------------------------


def test_the_models_list_has_the_routes_models_and_auto(client: OpenAI) -> None:
    listed = client.models.list()

    assert [model.id for model in listed] == ["auto", "large", "medium", "small"]
    assert {model.object for model in listed} == {"model"}


def test_a_wrong_key_is_the_sdks_authentication_error(gateway: RunningGateway) -> None:
    with (
        OpenAI(base_url=gateway.base_url, api_key="tg-wrong", max_retries=0) as client,
        pytest.raises(AuthenticationError) as caught,
    ):
        client.chat.completions.create(model="auto", messages=says("Let me in, please."))

    assert caught.value.code == "invalid_api_key"


def test_an_unknown_model_is_the_sdks_not_found_error(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.chat.completions.create(model="gpt-99", messages=says("Who are you then?"))

    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert "large" in caught.value.message  # the error says what there is instead


def test_a_bad_field_is_the_sdks_bad_request_error_with_the_fields_name(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(model="large", messages=says("Be hot."), extra_body={"temperature": "hot"})

    assert caught.value.param == "temperature"


def test_a_used_up_budget_is_the_sdks_rate_limit_error(gateway: RunningGateway) -> None:
    with (
        OpenAI(base_url=gateway.base_url, api_key=gateway.key(team="poor"), max_retries=0) as client,
        pytest.raises(RateLimitError) as caught,
    ):
        client.chat.completions.create(model="small", messages=says("Spend what is not there."))

    assert (caught.value.code, caught.value.type) == ("budget_exceeded", "insufficient_quota")
    assert int(caught.value.response.headers["retry-after"]) > 0


def test_what_the_provider_says_of_the_request_reaches_the_caller(client: OpenAI, provider: Provider) -> None:
    error = {"message": "Bad `seed`: ü", "type": "invalid_request_error", "param": "seed", "code": "out_of_range"}
    provider.script("large-2025", json_reply({"error": error}, 400))

    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(model="large", messages=says("Use a bad seed."), seed=-1)

    assert caught.value.body == error


def test_what_the_provider_says_of_our_account_does_not_reach_the_caller(client: OpenAI, provider: Provider) -> None:
    for name in ("large", "medium", "small"):
        provider.script(f"{name}-2025", error_reply(401, f"Incorrect API key provided: {SECRET}."))

    with pytest.raises(InternalServerError) as caught:
        client.chat.completions.create(model="large", messages=says("Is our account in order?"))

    assert caught.value.status_code == 502
    assert SECRET not in caught.value.response.text
    assert "Incorrect" not in caught.value.response.text


def test_a_stream_that_breaks_off_is_the_sdks_error_after_what_had_come(client: OpenAI, provider: Provider) -> None:
    provider.script("large-2025", unfinished(stream_reply(chat_events(["Half ", "an "])[:-1]), "cut"))
    with client.chat.completions.create(model="large", messages=says("Break off half way."), stream=True) as stream:
        seen = [next(stream).choices[0].delta.content for _ in range(3)]
        with pytest.raises(APIError) as caught:
            next(stream)

    assert seen == ["", "Half ", "an "]
    assert caught.value.code == "upstream_failed"


def test_an_error_in_place_of_a_streams_first_event_is_an_error_status(client: OpenAI, provider: Provider) -> None:
    for name in ("large", "medium", "small"):
        provider.script(f"{name}-2025", stream_reply([event({"error": {"message": "no", "type": "overloaded"}})]))

    with pytest.raises(InternalServerError):
        client.chat.completions.create(model="large", messages=says("Fail at once."), stream=True)
