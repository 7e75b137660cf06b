"""Anthropic's official SDK works unchanged, whatever provider answers; and OpenAI's, where Anthropic does."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from anthropic import (
    Anthropic,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    RateLimitError,
)
from openai import OpenAI

from router.tokens import token_count
from tests.app.configuration import ENVIRONMENT, budget, route, scripted
from tests.app.provider import (
    DONE,
    HANG,
    Provider,
    chat_body,
    chat_chunk,
    chat_events,
    cut_up,
    json_reply,
    stream_reply,
    unfinished,
    usage_chunk,
)
from tests.app.provider import streamed as chat_stream
from tests.app.simulators.anthropic import (
    COUNTED,
    REQUEST_ID,
    AnthropicProvider,
    error_body,
    error_reply,
    events,
    message,
    named,
    reply,
    running_anthropic,
    text,
    thinking,
    tool_use,
    usage,
)
from tests.running import RunningGateway, eventually, running_gateway

UNICODE = "Grüße, 你好, שלום, é, 👩‍👩‍👧‍👦\u2028\u0085 end"
CLAUDE_KEY = "sk-ant-only-for-the-provider"
TOOL = {
    "name": "find_order",
    "description": "Finds an order.",
    "input_schema": {"type": "object", "properties": {"id": {"type": "string"}}},
}
FUNCTION = {
    "type": "function",
    "function": {"name": "find_order", "description": "Finds an order.", "parameters": TOOL["input_schema"]},
}
STREAMS = pytest.mark.parametrize("streams", [False, True], ids=["json", "stream"])


@pytest.fixture(scope="module")
def claude() -> Iterator[AnthropicProvider]:
    with running_anthropic(CLAUDE_KEY) as provider:
        yield provider


@pytest.fixture
def anthropic(claude: AnthropicProvider) -> AnthropicProvider:
    """The simulator, with no call noted and no script set."""
    claude.reset()
    return claude


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, claude: AnthropicProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    names = {"opus": "claude-opus-4-6", "haiku": "claude-haiku-4-5", "faulty": "claude-opus-4-7"}
    configuration = (
        scripted(upstream)
        + f"""
[providers.claude]
protocol = "anthropic"
base_url = "{claude.base_url}"
api_key = "env:CLAUDE_KEY"
priced_as = "anthropic"
retries = 0
[providers.claude.breaker]
failure_share = 2
[providers.locked_out]
protocol = "anthropic"
base_url = "{claude.base_url}"
api_key = "env:SCRIPTED_KEY"
retries = 0
"""
        + "".join(
            f'[models.{name}]\ntier = "mid"\nmax_output_tokens = 8000\naccepts = ["image_url", "file"]\n'
            f'[[models.{name}.deployments]]\nprovider = "claude"\nmodel = "{known_as}"\n'
            for name, known_as in names.items()
        )
        + '[models.locked]\ntier = "mid"\n[[models.locked.deployments]]\nprovider = "locked_out"\n'
        + "list_price = { input = 1, output = 2 }\n"
        + '[models.files]\ntier = "mid"\naccepts = ["image_url", "file"]\n[[models.files.deployments]]\n'
        + 'provider = "scripted"\nmodel = "files-2025"\nlist_price = { input = 1, output = 2 }\n'
        + route("default", "opus", "haiku", "faulty", "locked", "large", "small", "files", allow_downgrade=False)
        + route("faq", "opus", "large", cache='start = "prior"', allow_downgrade=False)
        + budget("teams.poor", 1)
        + budget("organisation", 10**15, audits_share=0.0)  # no audits here: each would be one more call
    )
    environment = ENVIRONMENT | {"CLAUDE_KEY": CLAUDE_KEY}
    with running_gateway(tmp_path_factory.mktemp("anthropic"), configuration, environment) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def key(gateway: RunningGateway) -> str:
    return gateway.key()


@pytest.fixture
def client(gateway: RunningGateway, key: str) -> Iterator[Anthropic]:
    with Anthropic(base_url=gateway.url, api_key=key, max_retries=0) as client:
        yield client


@pytest.fixture
def openai(gateway: RunningGateway, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as client:
        yield client


def says(words: Any) -> list[Any]:
    return [{"role": "user", "content": words}]


def asked(client: Anthropic, streams: bool, **fields: Any) -> Any:
    """The whole answer, asked for as one body or as a stream that the SDK puts together."""
    fields = {"max_tokens": 100, "model": "opus"} | fields
    if not streams:
        return client.messages.create(**fields)
    with client.messages.stream(**fields) as stream:
        return stream.get_final_message()


# --- the simulator is like the real thing ---------------------------------------------------------------------


@STREAMS
def test_the_official_sdk_takes_the_simulator_for_its_provider(anthropic: AnthropicProvider, streams: bool) -> None:
    answer = message(thinking("Hm."), text(UNICODE), tool_use("toolu_1", "find_order", id="ü4"), stop="tool_use")
    anthropic.script("claude-1", reply(answer, streams=streams))

    with Anthropic(base_url=anthropic.base_url.removesuffix("/v1"), api_key=CLAUDE_KEY, max_retries=0) as direct:
        found = asked(direct, streams, model="claude-1", messages=says("Hello."))

    assert [block.to_dict() for block in found.content] == answer["content"]
    assert (found.stop_reason, found.usage.output_tokens) == ("tool_use", 7)
    if not streams:
        assert found._request_id == REQUEST_ID


def test_the_official_sdk_knows_the_simulators_errors(anthropic: AnthropicProvider) -> None:
    with Anthropic(base_url=anthropic.base_url.removesuffix("/v1"), api_key="wrong", max_retries=0) as direct:
        with pytest.raises(AuthenticationError) as caught:
            direct.messages.create(model="claude-1", max_tokens=5, messages=says("Hello."))
        assert caught.value.type == "authentication_error"


@pytest.mark.parametrize(
    "wrong",
    [
        {"system": 5},
        {"n": 2},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
        {"messages": [{"role": "assistant", "content": "Hi."}]},
        {"messages": says([{"type": "tool_result", "tool_use_id": "toolu_9", "content": "x"}])},
    ],
)
def test_the_simulator_refuses_what_the_provider_would(anthropic: AnthropicProvider, wrong: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"max_tokens": 5, "messages": says("Hello.")} | wrong
    extra = {"n": fields.pop("n")} if "n" in fields else {}
    with (
        Anthropic(base_url=anthropic.base_url.removesuffix("/v1"), api_key=CLAUDE_KEY, max_retries=0) as direct,
        pytest.raises(BadRequestError),
    ):
        direct.messages.create(model="claude-1", extra_body=extra, **fields)


# --- Anthropic to Anthropic: nothing is converted ----------------------------------------------------------------

RICH = message(
    thinking("Let me see.", "EqQBCgIYAhIM/+=="),
    {"type": "redacted_thinking", "data": "EmwKAhgB"},
    text(
        UNICODE,
        citations=[
            {
                "type": "char_location",
                "cited_text": "Grüße",
                "document_index": 0,
                "document_title": "A",
                "start_char_index": 0,
                "end_char_index": 5,
                "file_id": None,
            }
        ],
    ),
    text("And more."),
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
    tool_use("toolu_1", "find_order", id="ü4", big=2**60, small=1e-7),
    {"type": "block_of_the_future", "novel": [1, 2.50, None]},
    stop="tool_use",
    novel={"deep": [1.0]},
)


def test_an_answer_reaches_the_client_byte_for_byte(
    gateway: RunningGateway, key: str, anthropic: AnthropicProvider
) -> None:
    body = json.dumps(RICH, ensure_ascii=False, indent=1).encode() + b"\n"
    anthropic.script("claude-opus-4-6", json_reply(body))

    answer = sent(gateway, key, messages=says("Answer with all there is."))

    assert answer.content == body
    assert answer.headers["content-type"] == "application/json"


def test_a_stream_reaches_the_client_byte_for_byte(
    gateway: RunningGateway, key: str, anthropic: AnthropicProvider
) -> None:
    parts = events(RICH)
    whole = b"".join([*parts[:4], b": keep-alive\n\n", named("event_of_the_future", novel=[1.50]), *parts[4:]])
    anthropic.script("claude-opus-4-6", stream_reply(cut_up(whole, 11)))

    answer = sent(gateway, key, messages=says("Stream all there is."), stream=True)

    assert answer.content == whole
    assert answer.headers["content-type"].startswith("text/event-stream")


def sent(gateway: RunningGateway, key: str, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    body = {"model": "opus", "max_tokens": 64} | fields
    known = {"x-api-key": key, "anthropic-version": "2023-06-01"} | (headers or {})
    return gateway.request("POST", "/v1/messages", json=body, headers=known)


@STREAMS
def test_a_request_changes_in_nothing_but_the_models_name(
    gateway: RunningGateway, key: str, anthropic: AnthropicProvider, streams: bool
) -> None:
    anthropic.takes_anything = True
    mark = {"type": "ephemeral", "ttl": "1h"}
    fields: dict[str, Any] = {
        "max_tokens": 4000,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": mark}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": UNICODE, "cache_control": {"type": "ephemeral"}}]},
            {"role": "assistant", "content": [thinking("Hm."), tool_use("toolu_1", "find_order", id="4")]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "gone", "is_error": True},
                    {"type": "text", "text": f"And now, streamed {streams}?", "novel": {"x": 1.50}},
                ],
            },
        ],
        "tools": [TOOL | {"cache_control": mark}, {"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "metadata": {"user_id": "u-1"},
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
        "novel": {"nested": [1, 2.5, None, True], "n": 3},
        "n": 3,
        "stream": streams,
    }

    answer = sent(gateway, key, headers={"anthropic-beta": "a-2025-01-01,b-2025-02-02"}, **fields)

    assert answer.status_code == 200
    received = anthropic.calls[0].received
    assert received.json == {"model": "claude-opus-4-6", **fields}
    assert received.headers["anthropic-beta"] == "a-2025-01-01,b-2025-02-02"
    assert received.headers["anthropic-version"] == "2023-06-01"
    assert received.headers["x-api-key"] == CLAUDE_KEY
    assert not [value for value in received.headers.values() if key in value]


def test_the_sdks_betas_reach_the_provider(client: Anthropic, anthropic: AnthropicProvider) -> None:
    anthropic.takes_anything = True

    client.beta.messages.create(
        model="opus", max_tokens=9, messages=says("Be new."), betas=["a-2025-01-01"], context_management={"edits": []}
    )

    received = anthropic.calls[0].received
    assert received.headers["anthropic-beta"] == "a-2025-01-01"
    assert received.json["context_management"] == {"edits": []}


def test_a_header_of_several_lines_reaches_the_provider_as_one(
    gateway: RunningGateway, key: str, anthropic: AnthropicProvider
) -> None:
    anthropic.takes_anything = True
    lines = [("x-api-key", key), ("anthropic-version", "2023-06-01"), ("anthropic-version", "2023-06-01")]
    lines += [("anthropic-beta", "a-2025-01-01"), ("anthropic-beta", "b-2025-02-02")]
    body = {"model": "opus", "max_tokens": 9, "messages": says("Be new, in two lines.")}

    answer = gateway.request("POST", "/v1/messages", json=body, headers=lines)

    assert answer.status_code == 200
    received = anthropic.calls[0].received
    assert received.headers["anthropic-beta"] == "a-2025-01-01, b-2025-02-02"
    assert received.headers["anthropic-version"] == "2023-06-01"


def test_reasoning_that_another_provider_wrote_is_not_sent_to_this_one(
    client: Anthropic, anthropic: AnthropicProvider
) -> None:
    turns = [
        {"role": "user", "content": "Think."},
        {"role": "assistant", "content": [thinking("Unsigned.", ""), text("Thought.")]},
        {"role": "user", "content": "Go on, then."},
    ]

    client.messages.create(model="opus", max_tokens=10, messages=turns)  # type: ignore[arg-type]

    assert anthropic.calls[0].received.json["messages"][1]["content"] == [text("Thought.")]


@STREAMS
def test_every_kind_of_token_is_priced_to_the_nano_dollar(
    gateway: RunningGateway, client: Anthropic, anthropic: AnthropicProvider, streams: bool
) -> None:
    counts = usage(1001, 503, read=2003, short=307, long=409, output_tokens_details={"thinking_tokens": 100})
    anthropic.script("claude-opus-4-6", reply(message(text("Paid."), usage=counts), streams=streams))

    asked(client, streams, messages=says(f"What does a stream cost, {streams}?"))

    row = gateway.rows()[-1]
    assert (row.input_tokens, row.cache_read_tokens, row.output_tokens) == (1001, 2003, 503)
    assert (row.cache_write_5m_tokens, row.cache_write_1h_tokens, row.reasoning_tokens) == (307, 409, 100)
    # USD per million: input 5, read 0.50, written for 5 min 6.25 and for an hour 10, output 25.
    assert row.actual_nano == 1001 * 5000 + 2003 * 500 + 307 * 6250 + 409 * 10000 + 503 * 25000
    assert row.usage_source == "provider"


# --- from an Anthropic client to an OpenAI provider --------------------------------------------------------------


@STREAMS
def test_an_openai_provider_answers_in_anthropics_form(client: Anthropic, provider: Provider, streams: bool) -> None:
    whole = json_reply(chat_body(UNICODE, prompt_tokens=31, completion_tokens=19))
    parts = [*chat_stream([UNICODE[:7], UNICODE[7:]])[:-2], usage_chunk(31, 19), DONE]
    provider.script("large-2025", stream_reply(cut_up(b"".join(parts), 9)) if streams else whole)

    found = asked(client, streams, model="large", messages=says(f"Say it in many scripts, {streams}."))

    assert [block.to_dict() for block in found.content] == [text(UNICODE)]
    assert (found.stop_reason, found.stop_sequence, found.role) == ("end_turn", None, "assistant")
    assert (found.usage.input_tokens, found.usage.output_tokens) == (31, 19)
    assert (found.model, found.id) == ("scripted-2025-01-01", "msg_scripted")


def test_a_stream_has_every_event_that_the_sdk_waits_for(client: Anthropic, provider: Provider) -> None:
    provider.script("large-2025", stream_reply(chat_stream(["One ", "two."])))

    with client.messages.stream(model="large", max_tokens=9, messages=says("Count to two.")) as stream:
        kinds = [event.type for event in stream if event.type not in ("text",)]

    assert kinds == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@STREAMS
def test_tool_calls_of_an_openai_provider_are_tool_uses(client: Anthropic, provider: Provider, streams: bool) -> None:
    def part(**fields: Any) -> bytes:
        return chat_chunk({"tool_calls": [fields]})

    calls = [
        {"id": "call_1", "type": "function", "function": {"name": "find_order", "arguments": '{"id": "ü4"}'}},
        {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": ""}},
    ]
    parts = [
        chat_chunk({"role": "assistant", "content": "Looking."}),
        part(index=0, id="call_1", type="function", function={"name": "find_order", "arguments": ""}),
        part(index=0, function={"arguments": '{"id": '}),
        part(index=0, function={"arguments": '"ü4"}'}),
        part(index=1, id="call_2", type="function", function={"name": "now", "arguments": ""}),
        chat_chunk({}, "tool_calls"),
        usage_chunk(),
        DONE,
    ]
    whole = json_reply(chat_body("Looking.", finish="tool_calls", tool_calls=calls))
    provider.script("large-2025", stream_reply(parts) if streams else whole)

    found = asked(client, streams, model="large", tools=[TOOL], messages=says("Where is it?"))

    assert [block.to_dict() for block in found.content] == [
        text("Looking."),
        tool_use("call_1", "find_order", id="ü4"),
        tool_use("call_2", "now"),
    ]
    assert found.stop_reason == "tool_use"


@STREAMS
@pytest.mark.parametrize(
    ("finish", "more", "stop"),
    [
        ("stop", {}, "end_turn"),
        ("length", {}, "max_tokens"),
        ("content_filter", {}, "refusal"),
        ("stop", {"stop_reason": "END"}, "stop_sequence"),
    ],
)
def test_why_an_answer_ended_is_said_in_anthropics_words(
    client: Anthropic, provider: Provider, finish: str, more: dict[str, Any], stop: str, streams: bool
) -> None:
    body = chat_body("Some words.", finish=finish)
    body["choices"][0] |= more
    last = json.loads(chat_chunk({}, finish)[6:])
    last["choices"][0] |= more
    parts = [chat_chunk({"content": "Some words."}), b"data: " + json.dumps(last).encode() + b"\n\n", DONE]
    provider.script("large-2025", stream_reply(parts) if streams else json_reply(body))
    question = f"Why did it end, {finish} {more} {streams}?"

    found = asked(client, streams, model="large", messages=says(question), stop_sequences=["END"])

    assert (found.stop_reason, found.stop_sequence) == (stop, more.get("stop_reason"))
    assert provider.calls_with(question)[0].received.json["stop"] == ["END"]


@STREAMS
def test_reasoning_of_an_openai_provider_is_thinking(client: Anthropic, provider: Provider, streams: bool) -> None:
    parts = [
        chat_chunk({"role": "assistant", "content": None, "reasoning_content": "Let me "}),
        chat_chunk({"reasoning_content": "see."}),
        chat_chunk({"content": "Four."}),
        chat_chunk({}, "stop"),
        DONE,
    ]
    whole = json_reply(chat_body("Four.", reasoning_content="Let me see."))
    provider.script("large-2025", stream_reply(parts) if streams else whole)

    found = asked(client, streams, model="large", messages=says(f"Two and two, {streams}?"))

    assert [block.to_dict() for block in found.content] == [thinking("Let me see.", ""), text("Four.")]


def test_a_request_is_what_an_openai_provider_takes(
    gateway: RunningGateway, client: Anthropic, provider: Provider
) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}}
    behind_url = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    answer = client.messages.with_raw_response.create(
        model="large",
        max_tokens=77,
        system=[{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture, behind_url]},  # type: ignore[list-item]
            {
                "role": "assistant",
                "content": [
                    thinking("Hm."),  # type: ignore[list-item]
                    {"type": "text", "text": "An order."},
                    tool_use("toolu_1", "find_order", id="ü4"),  # type: ignore[list-item]
                    tool_use("toolu_2", "now"),  # type: ignore[list-item]
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "gone"}]},
                    {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True},
                    {"type": "text", "text": "Well?"},
                ],
            },
        ],
        tools=[TOOL],  # type: ignore[list-item]
        tool_choice={"type": "tool", "name": "find_order", "disable_parallel_tool_use": True},
        stop_sequences=["END"],
        extra_body={"temperature": 0.5, "top_p": 0.9, "top_k": 40},
        metadata={"user_id": "u-1"},
        output_config={"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    )

    warned = answer.headers["x-thriftgate-warning"]
    assert warned.startswith("not passed on: top_k")
    assert "messages[].thinking" in warned
    assert provider.calls[-1].received.json == {
        "model": "large-2025",
        "messages": [
            {"role": "system", "content": [text("Be brief."), text("Be kind.")]},
            {
                "role": "user",
                "content": [
                    text("What is this?"),
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                ],
            },
            {
                "role": "assistant",
                "content": "An order.",
                "tool_calls": [
                    {
                        "id": "toolu_1",
                        "type": "function",
                        "function": {"name": "find_order", "arguments": '{"id":"ü4"}'},
                    },
                    {"id": "toolu_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "toolu_1", "content": "gone"},
            {"role": "tool", "tool_call_id": "toolu_2", "content": ""},
            {"role": "user", "content": "Well?"},
        ],
        "tools": [FUNCTION],
        "tool_choice": {"type": "function", "function": {"name": "find_order"}},
        "parallel_tool_calls": False,
        "stop": ["END"],
        "temperature": 0.5,
        "top_p": 0.9,
        "user": "u-1",
        "max_completion_tokens": 77,
        "reasoning_effort": "high",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
        },
    }
    row = gateway.row(request_id=answer.headers["request-id"])
    assert row.end_user is not None


@pytest.mark.parametrize(
    ("source", "part"),
    [
        (
            {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
        ),
        ({"type": "text", "media_type": "text/plain", "data": "Grüße"}, text("a.pdf\n\nGrüße")),
    ],
)
def test_a_document_is_a_file_or_a_text(
    client: Anthropic, provider: Provider, source: dict[str, Any], part: dict[str, Any]
) -> None:
    document = {"type": "document", "source": source, "title": "a.pdf"}

    client.messages.create(model="files", max_tokens=9, messages=says([document, text("What does it say?")]))

    sent_on = provider.calls[-1].received.json["messages"][0]["content"]
    assert sent_on == [part, text("What does it say?")]


@pytest.mark.parametrize(
    ("fields", "named_field"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ({"messages": [*says("Hi."), {"role": "assistant", "content": "The answer is"}]}, "messages[1].role"),
        (
            {"messages": says([{"type": "search_result", "source": "x", "title": "x", "content": []}])},
            "messages[0].content[0]",
        ),
        (
            {
                "messages": says(
                    [
                        {
                            "type": "document",
                            "source": {"type": "text", "media_type": "text/plain", "data": "x"},
                            "citations": {"enabled": True},
                        },
                        {"type": "text", "text": "What?"},
                    ]
                ),
                "model": "files",
            },
            "messages[0].content[0].citations.enabled",
        ),
        ({"container": "container_1"}, "container"),
        ({"extra_body": {"n": 2}}, "body.n"),
        ({"inference_geo": "eu"}, "inference_geo"),
    ],
)
def test_what_only_anthropic_has_is_refused_by_name_elsewhere(
    client: Anthropic, provider: Provider, fields: dict[str, Any], named_field: str
) -> None:
    asked_for: dict[str, Any] = {"model": "large", "max_tokens": 9, "messages": says("Hi there.")} | fields
    with pytest.raises(BadRequestError) as caught:
        client.messages.create(**asked_for)

    assert caught.value.type == "invalid_request_error"
    assert f"`{named_field}`" in (caught.value.api_message or "")
    assert provider.calls == []


def test_what_an_openai_provider_refuses_is_named_as_the_client_wrote_it(client: Anthropic, provider: Provider) -> None:
    said = {
        "message": "Invalid image.",
        "type": "invalid_request_error",
        "param": "messages[1].content[1].image_url.url",
    }
    provider.script("files-2025", json_reply({"error": said}, 400))
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}}

    with pytest.raises(BadRequestError) as caught:
        client.messages.create(
            model="files", max_tokens=9, system="Be kind.", messages=says([{"type": "text", "text": "x"}, picture])
        )

    assert caught.value.api_message == "messages[0].content[1].source: Invalid image."


# --- from an OpenAI client to Anthropic ---------------------------------------------------------------------------


def answer_of(openai: OpenAI, streams: bool, **fields: Any) -> tuple[Any, Any]:
    """The message and the finish reason."""
    fields = {"model": "opus"} | fields
    if not streams:
        found = openai.chat.completions.create(**fields)
        return found, found.choices[0]
    with openai.chat.completions.stream(stream_options={"include_usage": True}, **fields) as stream:
        found = stream.get_final_completion()
        return found, found.choices[0]


@STREAMS
def test_anthropic_answers_in_openais_form(openai: OpenAI, anthropic: AnthropicProvider, streams: bool) -> None:
    answer = message(
        thinking("Let me see."),
        text("Looking. "),
        text(UNICODE),
        tool_use("toolu_1", "find_order", id="ü4"),
        tool_use("toolu_2", "now"),
        stop="tool_use",
        usage=usage(11, 23, read=5, short=3, long=2, output_tokens_details={"thinking_tokens": 4}),
    )
    anthropic.script("claude-opus-4-6", reply(answer, streams=streams))

    found, choice = answer_of(openai, streams, messages=says("Where is it?"), tools=[FUNCTION])

    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Looking. " + UNICODE
    calls = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls]
    assert calls == [("toolu_1", "find_order", {"id": "ü4"}), ("toolu_2", "now", {})]
    said = choice.message.to_dict()
    assert said["reasoning_content"] == "Let me see."
    assert said["thinking_blocks"] == [thinking("Let me see.")]
    assert (found.model, found.id) == ("claude-scripted-1", "msg_scripted")
    assert found.usage is not None
    assert found.usage.to_dict() == {
        "prompt_tokens": 21,
        "completion_tokens": 23,
        "total_tokens": 44,
        "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 5, "cache_write_1h_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }


def test_a_stream_has_its_usage_in_a_chunk_of_its_own_and_only_if_asked_for(
    openai: OpenAI, anthropic: AnthropicProvider
) -> None:
    anthropic.script("claude-opus-4-6", reply(message(text("Words.")), streams=True))

    for options in ({}, {"stream_options": {"include_usage": True}}):
        with openai.chat.completions.create(
            model="opus",
            messages=says(f"Stream with {options}."),
            stream=True,
            **options,  # type: ignore[call-overload]
        ) as stream:
            chunks = list(stream)
        counted = [chunk for chunk in chunks if chunk.usage is not None]
        assert [chunk.choices for chunk in counted] == ([[]] if options else [])
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Words."


@STREAMS
@pytest.mark.parametrize(
    ("stop", "more", "finish"),
    [
        ("end_turn", {}, "stop"),
        ("max_tokens", {}, "length"),
        ("stop_sequence", {"stop_sequence": "END"}, "stop"),
        ("refusal", {"stop_details": {"type": "refusal", "category": None, "explanation": "No."}}, "content_filter"),
        ("model_context_window_exceeded", {}, "length"),
    ],
)
def test_why_an_answer_ended_is_said_in_openais_words(
    openai: OpenAI, anthropic: AnthropicProvider, stop: str, more: dict[str, Any], finish: str, streams: bool
) -> None:
    anthropic.script("claude-opus-4-6", reply(message(text("Words."), stop=stop, **more), streams=streams))

    fields: dict[str, Any] = {"model": "opus", "messages": says(f"Why, {stop} {streams}?"), "stop": "END"}
    if streams:
        with openai.chat.completions.create(stream=True, **fields) as stream:
            chunks = [chunk.choices[0] for chunk in stream]
        reason, refusal = chunks[-1].finish_reason, chunks[-1].delta.refusal
    else:
        choice = openai.chat.completions.create(**fields).choices[0]
        reason, refusal = choice.finish_reason, choice.message.refusal

    assert (reason, refusal) == (finish, "No." if more.get("stop_details") else None)
    assert anthropic.calls[-1].received.json["stop_sequences"] == ["END"]


def test_a_request_is_what_anthropic_takes(openai: OpenAI, anthropic: AnthropicProvider) -> None:
    calls = [
        {"id": "call_1", "type": "function", "function": {"name": "find_order", "arguments": '{"id": "ü4"}'}},
        {"id": "call_2", "type": "function", "function": {"name": "find_order", "arguments": ""}},
    ]
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0=", "detail": "low"}}
    pdf = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}
    answer = openai.chat.completions.with_raw_response.create(
        model="opus",
        messages=[  # type: ignore[arg-type]
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "name": "ann", "content": "One."},
            {"role": "user", "content": [{"type": "text", "text": "Two."}, picture, pdf]},
            {"role": "assistant", "content": "", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "call_1", "content": "gone"},
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "there"}]},
            {"role": "user", "content": "Well?"},
        ],
        tools=[FUNCTION],  # type: ignore[list-item]
        tool_choice="required",
        parallel_tool_calls=False,
        stop=["END"],
        temperature=0.5,
        top_p=0.9,
        n=1,
        seed=7,
        logprobs=False,
        presence_penalty=0,
        user="u-1",
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        metadata={"case": "faq"},
    )

    warning = "not passed on: metadata, seed, messages[2].name, messages[3].content[1].image_url.detail, top_p"
    assert answer.headers["x-thriftgate-warning"] == warning
    assert anthropic.calls[0].received.json == {
        "model": "claude-opus-4-6",
        "max_tokens": 8000,
        "system": [text("Be brief."), text("Be kind.")],
        "messages": [
            {
                "role": "user",
                "content": [
                    text("One."),
                    text("Two."),
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}},
                    {
                        "type": "document",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                        "title": "a.pdf",
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [tool_use("call_1", "find_order", id="ü4"), tool_use("call_2", "find_order")],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "gone"},
                    {"type": "tool_result", "tool_use_id": "call_2", "content": "there"},
                    text("Well?"),
                ],
            },
        ],
        "tools": [TOOL],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "stop_sequences": ["END"],
        "temperature": 0.5,
        "metadata": {"user_id": "u-1"},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
    }


@STREAMS
def test_json_mode_gives_an_object(openai: OpenAI, anthropic: AnthropicProvider, streams: bool) -> None:
    answer = message(tool_use("toolu_1", "json_object", answer="ü", n=4), stop="tool_use")
    anthropic.script("claude-opus-4-6", reply(answer, streams=streams))

    _, choice = answer_of(
        openai, streams, messages=says(f"Answer in JSON, {streams}."), response_format={"type": "json_object"}
    )

    assert json.loads(choice.message.content) == {"answer": "ü", "n": 4}
    assert (choice.finish_reason, choice.message.tool_calls) == ("stop", None)
    assert anthropic.calls[0].received.json["tool_choice"]["name"] == "json_object"


def test_models_that_refuse_sampling_parameters_get_none(openai: OpenAI, anthropic: AnthropicProvider) -> None:
    answer = openai.chat.completions.with_raw_response.create(
        model="faulty", messages=says("Be cold."), temperature=0, top_p=1
    )

    assert answer.headers["x-thriftgate-warning"] == "not passed on: temperature, top_p"
    assert {"temperature", "top_p"} & set(anthropic.calls[0].received.json) == set()


@pytest.mark.parametrize(
    ("model", "effort", "found"),
    [
        ("opus", "high", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ("opus", "minimal", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        ("opus", "none", {"thinking": {"type": "disabled"}}),
        ("haiku", "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ("haiku", "high", {"thinking": {"type": "enabled", "budget_tokens": 4000}}),
        ("haiku", "none", {}),
    ],
)
def test_reasoning_effort_is_thinking_as_the_model_knows_it(
    openai: OpenAI, anthropic: AnthropicProvider, model: str, effort: Any, found: dict[str, Any]
) -> None:
    openai.chat.completions.create(model=model, messages=says("Think."), reasoning_effort=effort)

    received = anthropic.calls[0].received.json
    assert {name: received[name] for name in ("thinking", "output_config") if name in received} == found


def test_signed_reasoning_goes_back_to_who_signed_it(openai: OpenAI, anthropic: AnthropicProvider) -> None:
    turns = [
        {"role": "user", "content": "Where is it?"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "Hm.",
            "thinking_blocks": [thinking("Hm.")],
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "now", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "12:00"},
    ]

    openai.chat.completions.create(
        model="opus",
        messages=turns,  # type: ignore[arg-type]
        extra_body={"thinking": {"type": "enabled", "budget_tokens": 1024}},
    )

    received = anthropic.calls[0].received.json
    assert received["messages"][1]["content"] == [thinking("Hm."), tool_use("c1", "now")]
    assert received["thinking"] == {"type": "enabled", "budget_tokens": 1024}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"n": 2}, "n"),
        ({"temperature": 1.5}, "temperature"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "novel"}}, "tool_choice"),
        ({"tools": [FUNCTION], "response_format": {"type": "json_object"}}, "response_format.type"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"messages": [{"role": "system", "content": "Only that."}]}, "messages"),
        ({"messages": [*says("x"), {"role": "function", "name": "f", "content": "x"}]}, "messages[1].role"),
        (
            {"messages": says([{"type": "file", "file": {"file_id": "file-1"}}])},
            "messages[0].content[0].file.file_id",
        ),
        (
            {"messages": says([{"type": "image_url", "image_url": {"url": "ftp://x"}}])},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": says([{"type": "image_url", "image_url": {"detail": "low"}}])},
            "messages[0].content[0].image_url.url",
        ),
        ({"messages": says([{"type": "text"}])}, "messages[0].content[0].text"),
    ],
)
def test_what_anthropic_has_no_form_for_is_refused_by_name(
    gateway: RunningGateway, key: str, anthropic: AnthropicProvider, fields: dict[str, Any], param: str
) -> None:
    answer = gateway.chat(key, "Hi there.", model="opus", **fields)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert anthropic.calls == []


# --- the cache knows no dialect -----------------------------------------------------------------------------------


@STREAMS
def test_an_answer_made_for_an_openai_client_serves_an_anthropic_client_in_its_own_form(
    client: Anthropic, openai: OpenAI, provider: Provider, streams: bool
) -> None:
    provider.script("large-2025", json_reply(chat_body("Thirty days.", prompt_tokens=20, completion_tokens=4)))
    question = f"How long may customers return shoes, please, {streams}?"
    openai.chat.completions.create(
        model="large", messages=[{"role": "system", "content": "Be brief."}, *says(question)], temperature=0.2
    )

    fields: dict[str, Any] = {"system": "Be brief.", "messages": says([text(question)])}
    fields["extra_body"] = {"temperature": 0.2}
    found = asked(client, streams, model="large", **fields)

    assert len(provider.calls) == 1
    assert [block.to_dict() for block in found.content] == [text("Thirty days.")]
    assert (found.stop_reason, found.id[:4]) == ("end_turn", "msg_")
    assert (found.usage.input_tokens, found.usage.output_tokens) == (20, 4)


@STREAMS
def test_an_answer_made_for_an_anthropic_client_serves_an_openai_client_in_its_own_form(
    client: Anthropic, openai: OpenAI, anthropic: AnthropicProvider, streams: bool
) -> None:
    question = f"How long may customers return hats, please, {streams}?"
    anthropic.script("claude-opus-4-6", reply(message(text("Sixty days.")), streams=streams))
    asked(client, streams, messages=says(question))

    for again in (False, True):
        found, choice = answer_of(openai, again, messages=says(question))
        assert (choice.message.content, choice.finish_reason) == ("Sixty days.", "stop")
        assert found.usage is not None
        assert found.usage.total_tokens == 19
    repeated = asked(client, not streams, messages=says(question))
    assert [block.to_dict() for block in repeated.content] == [text("Sixty days.")]
    assert len(anthropic.calls) == 1


@STREAMS
def test_an_answer_to_the_same_question_in_other_words_crosses_dialects(
    gateway: RunningGateway, provider: Provider, streams: bool
) -> None:
    secret = gateway.key(route="faq", team=f"team-{streams}")
    provider.script("large-2025", json_reply(chat_body("Press forgot password.")))
    entries = gateway.status()["cache"]["entries"]
    for wording in WORDINGS:
        gateway.chat(secret, wording, model="large", headers={"cache-control": "no-cache"})
    eventually(lambda: is_linked(gateway, entries + len(WORDINGS)))
    provider.reset()

    with Anthropic(base_url=gateway.url, api_key=secret, max_retries=0) as client:
        found = asked(client, streams, model="large", messages=says("How can I reset my password?"))

    assert [block.to_dict() for block in found.content] == [text("Press forgot password.")]
    assert gateway.row(team=f"team-{streams}", disposition="semantic").requested_model == "large"
    assert provider.calls == []


WORDINGS = ("How do I reset my password?", "How can I reset a password?", "How could I reset my password?")
"""Three, because one wording alone would not be sure enough of another."""


def is_linked(gateway: RunningGateway, entries: int) -> bool:
    """Whether so many answers are stored and have found each other."""
    found = gateway.status()["cache"]
    return bool(found["entries"] == entries and found["groups"] < entries)


def test_an_anthropic_client_joins_the_answer_that_an_openai_client_waits_for(
    gateway: RunningGateway, key: str, client: Anthropic, provider: Provider
) -> None:
    gate = provider.gate()
    parts = chat_stream(["Both ", "of ", "you."])
    provider.script("large-2025", stream_reply([*parts[:2], gate, *parts[2:]]))
    question = "How do I send a letter abroad?"

    with gateway.stream(key, question, model="large", max_completion_tokens=99) as leader:
        assert next(leader.iter_raw())
        with client.messages.stream(model="large", max_tokens=99, messages=says(question)) as follower:
            assert follower.response.headers["x-thriftgate-cache"] == "coalesced"
            gate.open()
            found = follower.get_final_message()

    assert [block.to_dict() for block in found.content] == [text("Both of you.")]
    assert len(provider.calls) == 1


def test_an_openai_client_joins_the_answer_that_an_anthropic_client_waits_for(
    gateway: RunningGateway, key: str, client: Anthropic, anthropic: AnthropicProvider
) -> None:
    gate = anthropic.gate()
    parts = events(message(text("Both of you.")))
    anthropic.script("claude-opus-4-6", stream_reply([*parts[:4], gate, *parts[4:]]))
    question = "How do I send a parcel abroad?"

    with client.messages.stream(model="opus", max_tokens=99, messages=says(question)) as leader:
        next(iter(leader))
        with gateway.stream(key, question, model="opus", max_completion_tokens=99) as follower:
            assert follower.headers["x-thriftgate-cache"] == "coalesced"
            gate.open()
            lines = follower.read().decode().split("\n\n")
        assert leader.get_final_text() == "Both of you."

    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line and "[DONE]" not in line]
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == "Both of you."
    assert lines[-2] == "data: [DONE]"
    assert len(anthropic.calls) == 1


def test_who_joins_a_stream_for_one_body_gets_its_citations_and_signatures(
    client: Anthropic, anthropic: AnthropicProvider
) -> None:
    answer = message(thinking("Hm.", "c2lnbmVk"), text("Sixty days.", citations=RICH["content"][2]["citations"]))
    gate = anthropic.gate()
    parts = events(answer)
    anthropic.script("claude-opus-4-6", stream_reply([*parts[:4], gate, *parts[4:]]))
    question = says("How long may customers return a garden hose?")

    with client.messages.stream(model="opus", max_tokens=99, messages=question) as leader:
        next(iter(leader))
        with ThreadPoolExecutor() as pool:
            raw = client.messages.with_raw_response
            body = pool.submit(raw.create, model="opus", max_tokens=99, messages=question)
            gate.open()
            follower = body.result()
        streamed = leader.get_final_message()

    assert follower.headers["x-thriftgate-cache"] == "coalesced"
    found = follower.http_response.json()
    assert found["content"] == answer["content"]
    assert found["usage"] == answer["usage"]
    assert found == {name: value for name, value in streamed.to_dict().items() if name in found}
    assert len(anthropic.calls) == 1


@pytest.mark.parametrize("streams", [False, True], ids=["json", "stream"])
def test_a_mark_for_the_prompt_cache_does_not_keep_an_answer_from_being_stored(
    client: Anthropic, anthropic: AnthropicProvider, streams: bool
) -> None:
    words = f"How do I clean a copper kettle, {streams}?"
    anthropic.script("claude-opus-4-6", reply(message(text("With vinegar.")), streams=streams))
    marked = [{"type": "text", "text": words, "cache_control": {"type": "ephemeral"}}]

    asked(client, streams, messages=says(marked))
    again = client.messages.with_raw_response.create(model="opus", max_tokens=100, messages=says(words))

    assert again.headers["x-thriftgate-cache"] == "exact"
    assert anthropic.calls[0].received.json["messages"][0]["content"] == marked
    assert len(anthropic.calls) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"mcp_servers": [{"type": "url", "name": "x", "url": "https://x.invalid"}]},
        {"container": "container_1"},
    ],
    ids=["mcp_servers", "container"],
)
def test_what_servers_keep_or_are_asked_is_not_cached(
    client: Anthropic, anthropic: AnthropicProvider, fields: dict[str, Any]
) -> None:
    anthropic.takes_anything = True
    anthropic.script("claude-opus-4-6", reply(message(text("Iron.")), streams=False))

    answer = client.messages.with_raw_response.create(
        model="opus", max_tokens=100, messages=says("What is an anvil made of?"), extra_body=fields
    )

    assert answer.headers["x-thriftgate-cache"] == "bypass"
    assert answer.headers["x-thriftgate-cache-reason"] == "stateful"


def test_a_stream_that_its_client_leaves_is_booked_with_the_input_that_the_provider_counted(
    gateway: RunningGateway, client: Anthropic, anthropic: AnthropicProvider
) -> None:
    counted = usage(1_234, 99, read=500, short=60, long=7)
    parts = events(message(text("Never ending "), usage=counted), size=20)
    anthropic.script("claude-opus-4-6", stream_reply([*parts[:4], HANG]))

    with client.messages.stream(
        model="opus", max_tokens=99, messages=says("My name is Jo, tell me a story.")
    ) as stream:
        for event in stream:
            if event.type == "text":
                break
        request_id = stream.response.headers["x-request-id"]
    eventually(lambda: anthropic.calls[0].is_hung_up.is_set())

    row = gateway.row(request_id=request_id)
    assert (row.status, row.usage_source, row.pricing) == ("client_closed", "estimated", "priced")
    assert (row.input_tokens, row.cache_read_tokens) == (1_234, 500)
    assert (row.cache_write_5m_tokens, row.cache_write_1h_tokens) == (60, 7)
    assert row.output_tokens == token_count("Never ending ")


@STREAMS
def test_searches_of_the_provider_are_counted_and_paid_by_the_call(
    gateway: RunningGateway, client: Anthropic, anthropic: AnthropicProvider, streams: bool
) -> None:
    counted = usage(1_000, 10) | {"server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 1}}
    anthropic.script("claude-opus-4-6", reply(message(text("Rain."), usage=counted), streams=streams))
    tool = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}

    fields = {"model": "opus", "max_tokens": 100, "messages": says("Rain?"), "tools": [tool], "stream": streams}
    answer = client.messages.with_raw_response.create(**fields)
    if streams:
        for _ in answer.parse():
            pass

    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert row.usage.tools == {"web_search": 3}
    assert row.pricing == "priced"
    # claude-opus-4-6: 5 in, 25 out; 10 for 1,000 searches.
    assert row.actual_nano == 1_000 * 5_000 + 10 * 25_000 + 3 * 10_000_000
    assert row.reserved_nano >= 5 * 10_000_000


def test_an_answer_with_citations_is_not_stored(client: Anthropic, anthropic: AnthropicProvider) -> None:
    cited = message(text("Sixty.", citations=RICH["content"][2]["citations"]))
    anthropic.script("claude-opus-4-6", reply(cited, streams=False))

    for _ in range(2):
        found = asked(client, False, messages=says("Cite what the rules say of returns."))
        assert found.content[0].citations
    assert len(anthropic.calls) == 2


# --- errors -----------------------------------------------------------------------------------------------------


def test_a_wrong_key_is_an_authentication_error(gateway: RunningGateway) -> None:
    with (
        Anthropic(base_url=gateway.url, api_key="tg-wrong", max_retries=0) as client,
        pytest.raises(AuthenticationError) as caught,
    ):
        client.messages.create(model="opus", max_tokens=5, messages=says("Let me in."))

    assert caught.value.type == "authentication_error"
    assert (caught.value.request_id or "").startswith("req_")


def test_a_bearer_token_is_a_key_as_well(gateway: RunningGateway, key: str, anthropic: AnthropicProvider) -> None:
    with Anthropic(base_url=gateway.url, auth_token=key, max_retries=0) as client:
        assert client.messages.create(model="opus", max_tokens=5, messages=says("Let me in, please.")).content


def test_an_unknown_model_is_not_found(client: Anthropic) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.messages.create(model="claude-99", max_tokens=5, messages=says("Who are you?"))

    assert caught.value.type == "not_found_error"
    assert "opus" in (caught.value.api_message or "")


def test_a_used_up_budget_is_a_rate_limit_error(gateway: RunningGateway) -> None:
    with (
        Anthropic(base_url=gateway.url, api_key=gateway.key(team="poor"), max_retries=0) as client,
        pytest.raises(RateLimitError) as caught,
    ):
        client.messages.create(model="opus", max_tokens=5, messages=says("Spend what is not there."))

    assert caught.value.type == "rate_limit_error"
    assert int(caught.value.response.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": says([{"text": "x"}])}, "messages[0].content[0].type"),
        ({"messages": says([{"type": "text", "text": 5}])}, "messages[0].content[0].text"),
        ({"messages": says([{"type": "image", "source": {"type": "base64"}}])}, "messages[0].content[0].source"),
        ({"messages": says([{"type": "tool_result", "content": "x"}])}, "messages[0].content[0].tool_use_id"),
        ({"system": 5}, "system"),
        ({"tools": [{"name": "x"}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"thinking": {"type": "enabled", "budget_tokens": "many"}}, "thinking.budget_tokens"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id"),
        ({"service_tier": "gold"}, "service_tier"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(
    gateway: RunningGateway, key: str, anthropic: AnthropicProvider, fields: dict[str, Any], param: str
) -> None:
    answer = sent(gateway, key, **({"messages": says("Hello.")} | fields))

    body = answer.json()
    assert (answer.status_code, body["type"], body["error"]["type"]) == (400, "error", "invalid_request_error")
    assert set(body) == {"type", "error", "request_id"}
    assert body["request_id"] == answer.headers["request-id"]
    assert param in body["error"]["message"]
    assert anthropic.calls == []


def test_what_the_provider_says_of_the_request_reaches_both_kinds_of_clients(
    client: Anthropic, openai: OpenAI, anthropic: AnthropicProvider
) -> None:
    said = "messages.0.content: too many ü"
    anthropic.script("claude-opus-4-6", error_reply(400, "invalid_request_error", said))

    with pytest.raises(BadRequestError) as caught:
        client.messages.create(model="opus", max_tokens=5, messages=says("Refuse this."))
    assert caught.value.api_message == said
    with pytest.raises(Exception, match="too many") as other:
        openai.chat.completions.create(model="opus", messages=says("Refuse this as well."))
    assert getattr(other.value, "status_code", None) == 400
    assert len(anthropic.calls) == 2


def test_a_rate_limit_says_when_to_come_back(client: Anthropic, anthropic: AnthropicProvider) -> None:
    anthropic.script("claude-opus-4-7", error_reply(429, "rate_limit_error", f"{CLAUDE_KEY} is busy", retry_after="9"))

    with pytest.raises(APIStatusError) as caught:
        client.messages.create(model="faulty", max_tokens=5, messages=says("Hurry."))

    assert caught.value.status_code in (429, 503)
    assert int(caught.value.response.headers["retry-after"]) >= 1
    assert CLAUDE_KEY not in caught.value.response.text


def test_what_the_provider_says_of_our_key_does_not_reach_the_caller(
    client: Anthropic, anthropic: AnthropicProvider
) -> None:
    with pytest.raises(APIStatusError) as caught:
        client.messages.create(model="locked", max_tokens=5, messages=says("Is our key in order?"))

    assert caught.value.status_code == 502
    assert caught.value.type == "api_error"
    assert "x-api-key" not in caught.value.response.text


@pytest.mark.parametrize("dialect", ["anthropic", "openai"])
def test_an_error_in_mid_stream_ends_it_as_one(
    gateway: RunningGateway, key: str, anthropic: AnthropicProvider, dialect: str
) -> None:
    parts = events(message(text("Half an answer.")))[:4]
    anthropic.script("claude-opus-4-6", stream_reply([*parts, named("error", **error_of("overloaded_error"))]))
    question = f"Break down half way, {dialect}."

    if dialect == "anthropic":
        answer = sent(gateway, key, messages=says(question), stream=True)
        seen = answer.text
        assert "event: error" in seen
        assert json.loads(seen.rpartition("data: ")[2])["type"] == "error"
        assert "message_stop" not in seen
    else:
        with gateway.stream(key, question, model="opus") as stream:
            seen = stream.read().decode()
        assert "[DONE]" not in seen
        assert '"error"' in seen
    assert gateway.rows()[-1].status == "upstream_error"


def error_of(kind: str) -> dict[str, Any]:
    return {name: value for name, value in error_body(kind, "Overloaded").items() if name != "type"}


@pytest.mark.parametrize("upstream_name", ["opus", "large"])
def test_a_stream_that_is_cut_never_looks_complete(
    gateway: RunningGateway, key: str, anthropic: AnthropicProvider, provider: Provider, upstream_name: str
) -> None:
    parts = events(message(text("Half an answer.")))[:5]
    anthropic.script("claude-opus-4-6", unfinished(stream_reply(parts), "cut"))
    provider.script("large-2025", unfinished(stream_reply(chat_events(["Half ", "an "])[:-1]), "cut"))

    answer = sent(gateway, key, model=upstream_name, messages=says("Break off half way."), stream=True)

    assert "event: error" in answer.text
    assert "message_stop" not in answer.text
    assert gateway.rows()[-1].status == "upstream_cut"


@STREAMS
def test_an_overloaded_provider_is_an_overloaded_error(
    client: Anthropic, anthropic: AnthropicProvider, streams: bool
) -> None:
    anthropic.script("claude-opus-4-6", error_reply(529, "overloaded_error", "Overloaded", retry_after="3"))

    with pytest.raises(APIStatusError) as caught:
        asked(client, streams, messages=says("Is it too much?"))

    assert (caught.value.status_code, caught.value.type) == (503, "overloaded_error")
    assert int(caught.value.response.headers["retry-after"]) >= 3


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("POST", "/v1/messages/batches", 404, "not_found_error"),
        ("GET", "/v1/messages", 405, "invalid_request_error"),
        ("POST", "/v1/messages", 400, "invalid_request_error"),
        ("POST", "/v1/messages/count_tokens", 400, "invalid_request_error"),
    ],
)
def test_whatever_is_refused_is_refused_in_anthropics_form(
    gateway: RunningGateway, key: str, method: str, path: str, status: int, kind: str
) -> None:
    answer = gateway.request(method, path, headers={"x-api-key": key}, content=b"{")

    body = answer.json()
    assert (answer.status_code, body["type"], body["error"]["type"]) == (status, "error", kind)


def test_every_answer_names_its_request(gateway: RunningGateway, key: str, anthropic: AnthropicProvider) -> None:
    for streams in (False, True):
        answer = sent(gateway, key, messages=says(f"Who am I, {streams}?"), stream=streams)
        assert gateway.row(request_id=answer.headers["request-id"]).status == "ok"
        if not streams:
            assert answer.headers["x-thriftgate-upstream-request-id"] == REQUEST_ID


def test_an_overloaded_provider_is_an_error_status_before_the_first_event(
    client: Anthropic, anthropic: AnthropicProvider
) -> None:
    anthropic.script("claude-opus-4-6", stream_reply([named("error", **error_of("overloaded_error"))]))

    with (
        pytest.raises(APIStatusError) as caught,
        client.messages.stream(model="opus", max_tokens=5, messages=says("Fail at once.")) as stream,
    ):
        stream.get_final_message()

    assert caught.value.status_code >= 500


# --- counts and models -------------------------------------------------------------------------------------------


def test_anthropic_counts_the_tokens_of_its_own_models_and_nothing_is_booked(
    gateway: RunningGateway, client: Anthropic, anthropic: AnthropicProvider
) -> None:
    before = len(gateway.rows())

    counted = client.messages.count_tokens(model="opus", system="Be brief.", messages=says("How many?"))

    assert counted.input_tokens == COUNTED
    received = anthropic.calls[0].received
    assert received.target == "/v1/messages/count_tokens"
    assert received.json == {"model": "claude-opus-4-6", "system": "Be brief.", "messages": says("How many?")}
    assert len(gateway.rows()) == before


def test_tokens_of_other_models_are_estimated_here(client: Anthropic, provider: Provider) -> None:
    counted = client.messages.count_tokens(
        model="large",
        system="Be brief.",
        messages=says("How many tokens are in this sentence of ten words?"),
        tools=[TOOL],  # type: ignore[list-item]
    )

    assert 20 < counted.input_tokens < 120
    assert provider.calls == []


def test_the_models_are_listed_in_anthropics_form(client: Anthropic) -> None:
    listed = list(client.models.list(limit=2))

    assert [model.id for model in listed] == ["auto", "opus", "haiku", "faulty", "locked", "large", "small", "files"]
    assert {model.type for model in listed} == {"model"}
    found = client.models.retrieve("opus")
    assert (found.id, found.max_tokens, found.lifecycle) == ("opus", 8000, "active")
    with pytest.raises(NotFoundError) as caught:
        client.models.retrieve("claude-99")
    assert caught.value.type == "not_found_error"


def test_the_models_are_still_listed_in_openais_form(openai: OpenAI) -> None:
    assert [model.id for model in openai.models.list()][:2] == ["auto", "opus"]
