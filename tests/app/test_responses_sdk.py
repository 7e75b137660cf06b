"""The official SDK's Responses: converted for providers of chats, passed on untouched to providers of the same API."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from openai import APIStatusError, AsyncOpenAI, BadRequestError, NotFoundError, OpenAI, RateLimitError
from pydantic import BaseModel

from tests.app.configuration import ENVIRONMENT, budget, model, route, scripted
from tests.app.openai_error import openai_error
from tests.app.provider import (
    CUT,
    DONE,
    Provider,
    Received,
    chat_body,
    chat_chunk,
    error_reply,
    json_reply,
    stream_reply,
    unfinished,
    usage_chunk,
)
from tests.app.provider import streamed as streamed_chat
from tests.app.responses_provider import (
    message,
    named,
    response,
    streamed,
    text_events,
    whole,
)
from tests.running import RunningGateway, eventually, running_gateway

UNICODE = "Grüße, 你好, שלום, 👩‍👩‍👧‍👦\u2028\u0085 end"
TOOL: Any = {
    "type": "function",
    "name": "find_order",
    "description": "Finds it.",
    "parameters": {"type": "object", "properties": {"id": {"type": "string"}}},
    "strict": False,
}


def natively(provider: Provider, name: str) -> str:
    """A provider at the same address that has the Responses API."""
    return (
        f'[providers.{name}]\nbase_url = "{provider.base_url}"\napi_key = "env:SCRIPTED_KEY"\n'
        "retries = 0\nresponses = true\n"
    )


def searching(models: str) -> str:
    """The same with a price for searches, without which no budget would hold them."""
    return models.replace("output = 4 }", "output = 4, tools = { web_search = 10 } }")


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Any
) -> Iterator[RunningGateway]:
    configuration = (
        scripted(upstream)
        + natively(upstream, "native")
        + natively(upstream, "other")
        + searching(model("native", "native-2025", provider="native"))
        + model("elsewhere", "elsewhere-2025", provider="other")
        + searching(model("both", "both-chat", provider="scripted"))
        + '[[models.both.deployments]]\nprovider = "native"\nmodel = "both-native"\n'
        + "list_price = { input = 1, output = 4, tools = { web_search = 10 } }\n"
        + route("default", "large", "medium", "small", "native", "elsewhere", "both", allow_downgrade=False)
        + route("faq", "large", cache='start = "prior"')
        + budget("organisation", 10**15, audits_share=0.0)  # no audits here: each would be one more call
    )
    with running_gateway(tmp_path_factory.mktemp("responses"), configuration, ENVIRONMENT) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def key(gateway: RunningGateway) -> str:
    return gateway.key()


@pytest.fixture
def client(gateway: RunningGateway, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as client:
        yield client


def post(gateway: RunningGateway, key: str, **body: Any) -> httpx.Response:
    return gateway.request("POST", "/v1/responses", json=body, headers={"authorization": f"Bearer {key}"})


# --- converted: answers -----------------------------------------------------------------------------------


def test_an_answer_of_a_chat_is_a_response(gateway: RunningGateway, client: OpenAI, provider: Provider) -> None:
    provider.script("large-2025", json_reply(chat_body(UNICODE, prompt_tokens=31, completion_tokens=19)))

    answer = client.responses.create(model="large", input="Say something in many scripts.", metadata={"case": "x"})

    assert answer.output_text == UNICODE
    assert (answer.object, answer.status, answer.model) == ("response", "completed", "scripted-2025-01-01")
    assert answer.metadata == {"case": "x"}
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (31, 19, 50)
    assert answer.id.removeprefix("resp_") == (answer._request_id or "").removeprefix("req_")
    row = gateway.row(request_id=answer._request_id)
    assert (row.input_tokens, row.output_tokens, row.status) == (31, 19, "ok")


def test_usage_keeps_its_details(client: OpenAI, provider: Provider) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 12},
    }
    provider.script("large-2025", json_reply(chat_body("Counted.") | {"usage": usage}))

    answer = client.responses.create(model="large", input="Count with details.")

    assert answer.usage is not None
    assert answer.usage.input_tokens_details.cached_tokens == 64
    assert answer.usage.output_tokens_details.reasoning_tokens == 12


def test_calls_of_functions_are_items_and_their_results_go_back(client: OpenAI, provider: Provider) -> None:
    calls = [
        {"id": "call_1", "type": "function", "function": {"name": "find_order", "arguments": '{"id": "ü4"}'}},
        {"id": "call_2", "type": "function", "function": {"name": "find_order", "arguments": ""}},
    ]
    provider.script(
        "large-2025",
        json_reply(chat_body("Looking.", finish="tool_calls", tool_calls=calls, reasoning_content="Two orders.")),
        json_reply(chat_body("Found.")),
    )
    asked: list[Any] = [{"role": "user", "content": "Where are my two orders?"}]

    first = client.responses.create(model="large", input=asked, tools=[TOOL], tool_choice="required")
    found = [item for item in first.output if item.type == "function_call"]
    asked += [item.to_dict() for item in first.output]
    asked += [{"type": "function_call_output", "call_id": call.call_id, "output": "on its way"} for call in found]
    second = client.responses.create(model="large", input=asked, tools=[TOOL])

    assert [item.type for item in first.output] == ["reasoning", "message", "function_call", "function_call"]
    assert [(call.call_id, call.name, call.arguments) for call in found] == [
        ("call_1", "find_order", '{"id": "ü4"}'),
        ("call_2", "find_order", "{}"),
    ]
    assert second.output_text == "Found."
    sent, again = (call.received.json for call in provider.calls)
    function = {name: TOOL[name] for name in ("name", "description", "parameters", "strict")}
    assert sent["tools"] == [{"type": "function", "function": function}]
    assert sent["tool_choice"] == "required"
    assert [message_["role"] for message_ in again["messages"]] == ["user", "assistant", "tool", "tool"]
    assert [call["id"] for call in again["messages"][1]["tool_calls"]] == ["call_1", "call_2"]
    assert again["messages"][1]["content"] == "Looking."
    assert again["messages"][2] == {"role": "tool", "tool_call_id": "call_1", "content": "on its way"}


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
@pytest.mark.parametrize("streams", [False, True])
def test_an_answer_that_broke_off_is_incomplete(
    client: OpenAI, provider: Provider, finish: str, reason: str, streams: bool
) -> None:
    reply = (
        stream_reply(streamed_chat(["Half an "], finish))
        if streams
        else json_reply(chat_body("Half an ", finish=finish))
    )
    provider.script("large-2025", reply)

    if streams:
        events = list(client.responses.create(model="large", input=f"Break off: {finish}.", stream=True))
        assert events[-1].type == "response.incomplete"
        answer = events[-1].response
    else:
        answer = client.responses.create(model="large", input=f"Break off: {finish}.", max_output_tokens=5)
        assert provider.calls[0].received.json["max_completion_tokens"] == 5

    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == reason
    assert answer.output[0].status == "incomplete"  # type: ignore[union-attr]
    assert answer.output_text == "Half an "


@pytest.mark.parametrize("streams", [False, True])
def test_a_refusal_is_a_part_of_its_own(client: OpenAI, provider: Provider, streams: bool) -> None:
    events = [chat_chunk({"role": "assistant", "refusal": "I "}), chat_chunk({"refusal": "cannot."})]
    provider.script(
        "large-2025",
        stream_reply([*events, chat_chunk({}, "stop"), usage_chunk(), DONE])
        if streams
        else json_reply(chat_body(None, refusal="I cannot.")),
    )

    if streams:
        with client.responses.stream(model="large", input="Do something that is refused.") as stream:
            kinds = [event.type for event in stream]
            answer: Any = stream.get_final_response()
        assert kinds.count("response.refusal.delta") == 2
    else:
        answer = client.responses.create(model="large", input="Do something that is refused.")

    assert [(part.type, part.refusal) for part in answer.output[0].content] == [("refusal", "I cannot.")]


class Verdict(BaseModel):
    is_fine: bool


def test_structured_output_is_parsed_by_the_sdk(client: OpenAI, provider: Provider) -> None:
    provider.script("large-2025", json_reply(chat_body('{"is_fine": true}')))

    answer = client.responses.parse(model="large", input="Is it fine?", text_format=Verdict)

    assert answer.output_parsed == Verdict(is_fine=True)
    form = provider.calls[0].received.json["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["name"] == "Verdict"
    assert form["json_schema"]["strict"] is True


def test_probabilities_of_tokens_come_with_the_text(client: OpenAI, provider: Provider) -> None:
    found = [{"token": "Hi", "bytes": [72, 105], "logprob": -0.5, "top_logprobs": []}]
    body = chat_body("Hi")
    body["choices"][0]["logprobs"] = {"content": found, "refusal": None}
    provider.script("large-2025", json_reply(body))

    answer: Any = client.responses.create(
        model="large", input="Say hi, with numbers.", top_logprobs=2, include=["message.output_text.logprobs"]
    )

    assert answer.output[0].content[0].logprobs[0].logprob == -0.5
    sent = provider.calls[0].received.json
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 2)
    assert "include" not in sent


# --- converted: requests ------------------------------------------------------------------------------------


def test_every_part_of_a_request_reaches_a_provider_of_chats(client: OpenAI, provider: Provider) -> None:
    provider.script("large-2025", json_reply(chat_body("Yes.")))
    picture = "data:image/png;base64,iVBORw0KGgo="

    answer = client.responses.with_raw_response.create(
        model="large",
        instructions="Be brief.",
        input=[
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [{"type": "input_text", "text": "First."}]},
            {"type": "message", "role": "assistant", "content": "Said."},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": picture, "detail": "low"},
                ],
            },
        ],
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=77,
        parallel_tool_calls=False,
        tools=[TOOL],
        tool_choice={"type": "function", "name": "find_order"},
        reasoning={"effort": "low", "summary": "auto"},
        text={"verbosity": "low"},
        truncation="auto",
        user="u1",
        store=False,
        service_tier="flex",
    )

    sent = provider.calls[0].received.json
    assert provider.calls[0].received.target == "/v1/chat/completions"
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": "First."},
        {"role": "assistant", "content": "Said."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": picture, "detail": "low"}},
            ],
        },
    ]
    expected = {
        "model": "large-2025",
        "temperature": 0.5,
        "top_p": 0.9,
        "max_completion_tokens": 77,
        "parallel_tool_calls": False,
        "tool_choice": {"type": "function", "function": {"name": "find_order"}},
        "reasoning_effort": "low",
        "verbosity": "low",
        "user": "u1",
        "service_tier": "flex",
    }
    assert {name: sent[name] for name in expected} == expected
    assert set(sent) == {*expected, "messages", "tools"}
    assert answer.headers["x-thriftgate-warning"] == "not passed on: reasoning.summary, truncation"


def test_a_choice_among_some_tools_leaves_only_these(client: OpenAI, provider: Provider) -> None:
    provider.script("large-2025", json_reply(chat_body("Chosen.")))
    allowed: Any = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "find_order"}]}

    client.responses.create(
        model="large", input="Choose.", tools=[TOOL, TOOL | {"name": "cancel"}], tool_choice=allowed
    )

    sent = provider.calls[0].received.json
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["find_order"]
    assert sent["tool_choice"] == "required"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [TOOL, {"type": "web_search"}]}, "tools[1]"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"type": "web_search_call", "id": "ws_1"}, {"role": "user", "content": "x"}]}, "input[0]"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
        ({"input": [{"role": "user", "content": "x", "novel": 1}]}, "input[0].novel"),
        ({"previous_response_id": "resp_unknown"}, "previous_response_id"),
        ({"conversation": {"id": "conv_unknown"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice.type"),
        ({"field_of_the_future": 1}, "field_of_the_future"),
        ({"background": True}, "background"),
    ],
)
def test_what_a_chat_has_no_form_for_is_refused_by_name(
    gateway: RunningGateway, key: str, provider: Provider, fields: dict[str, Any], param: str
) -> None:
    answer = post(gateway, key, **({"model": "large", "input": "Answer in another way."} | fields))

    openai_error(answer, 400, param=param)
    assert provider.calls == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": 5}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": ["x"]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        ({"messages": [{"role": "user", "content": "x"}]}, "messages"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{}]}, "tools[0].type"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"text": {"format": {}}}, "text.format.type"),
        ({"temperature": "warm"}, "temperature"),
        ({"model": None}, "model"),
    ],
)
@pytest.mark.parametrize("name", ["large", "native"])
def test_a_bad_field_is_refused_by_name(
    gateway: RunningGateway, key: str, provider: Provider, fields: dict[str, Any], param: str, name: str
) -> None:
    answer = post(gateway, key, **({"model": name, "input": "Answer."} | fields))

    openai_error(answer, 400, param=param)
    assert provider.calls == []


# --- converted: streams -------------------------------------------------------------------------------------


def test_a_stream_has_every_event_in_order_with_its_number(client: OpenAI, provider: Provider) -> None:
    provider.script("large-2025", stream_reply(streamed_chat(["One ", UNICODE])))

    events = list(client.responses.create(model="large", input="Count in events.", stream=True))

    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    final: Any = events[-1]
    assert final.response.output_text == "One " + UNICODE
    assert final.response.usage.total_tokens == 19


def test_the_stream_helper_of_the_sdk_puts_reasoning_text_and_calls_together(
    client: OpenAI, provider: Provider
) -> None:
    def fragment(index: int, arguments: str, **first: Any) -> bytes:
        function = {"arguments": arguments} | ({"name": "find_order"} if first else {})
        return chat_chunk({"tool_calls": [{"index": index, "function": function, **first}]})

    chunks = [
        chat_chunk({"role": "assistant", "content": "", "reasoning_content": "Let me "}),
        chat_chunk({"reasoning_content": "see."}),
        chat_chunk({"content": "Looking "}),
        chat_chunk({"content": UNICODE}),
        fragment(0, "", id="call_1", type="function"),
        fragment(0, '{"id": '),
        fragment(1, "", id="call_2", type="function"),
        fragment(0, '"1"}'),
        chat_chunk({}, "tool_calls"),
        usage_chunk(),
        DONE,
    ]
    provider.script("large-2025", stream_reply(chunks))

    with client.responses.stream(model="large", input="Look both up.", tools=[TOOL]) as stream:
        events = list(stream)
        answer: Any = stream.get_final_response()

    kinds = [event.type for event in events]
    assert kinds.count("response.reasoning_text.delta") == 2
    assert kinds.index("response.output_item.done") < kinds.index("response.output_text.delta")
    snapshots = [event.snapshot for event in events if event.type == "response.output_text.delta"]
    assert snapshots[-1] == "Looking " + UNICODE
    assert [item.type for item in answer.output] == ["reasoning", "message", "function_call", "function_call"]
    assert answer.output[0].content[0].text == "Let me see."
    assert [call.arguments for call in answer.output[2:]] == ['{"id": "1"}', "{}"]


def test_reasoning_is_a_summary_for_whoever_asks_for_one(client: OpenAI, provider: Provider) -> None:
    provider.script("large-2025", json_reply(chat_body("42", reasoning_content="Six times seven.")))

    with client.responses.stream(model="large", input="Six times 7?", reasoning={"summary": "auto"}) as stream:
        kinds = [event.type for event in stream]
        answer: Any = stream.get_final_response()

    assert "response.reasoning_summary_text.delta" in kinds
    assert answer.output[0].summary[0].text == "Six times seven."


async def test_the_asynchronous_client_works_likewise(gateway: RunningGateway, key: str, provider: Provider) -> None:
    provider.script("small-2025", json_reply(chat_body(UNICODE)), stream_reply(streamed_chat([UNICODE, "!"])))

    async with AsyncOpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as client:
        answer = await client.responses.create(model="small", input="Answer this in one piece.")
        async with client.responses.stream(model="small", input="Answer this in pieces, please.") as stream:
            async for _ in stream:
                pass
            final = await stream.get_final_response()

    assert answer.output_text == UNICODE
    assert final.output_text == UNICODE + "!"


@pytest.mark.parametrize("name", ["large", "native"])
def test_a_stream_that_breaks_off_fails_and_is_not_complete(
    gateway: RunningGateway, key: str, client: OpenAI, provider: Provider, name: str
) -> None:
    events = text_events(["Half"])[:5] if name == "native" else [chat_chunk({"role": "assistant", "content": "Half"})]
    provider.script(f"{name}-2025", unfinished(stream_reply(events), CUT))

    found = list(client.responses.create(model=name, input="Break off in the middle.", stream=True))

    assert [event.sequence_number for event in found] == list(range(len(found)))
    last: Any = found[-1]
    assert last.type == "response.failed"
    assert last.response.status == "failed"
    assert last.response.error.code == "server_error"
    assert {event.response.id for event in found if hasattr(event, "response")} == {last.response.id}
    assert eventually(lambda: gateway.rows(status="upstream_cut"))


# --- the same API on both sides -----------------------------------------------------------------------------


def test_a_request_and_its_answer_pass_untouched(gateway: RunningGateway, key: str, provider: Provider) -> None:
    raw = json.dumps(response(message(UNICODE), future={"a": [1.50, None]}), indent=1).encode()
    provider.script("native-2025", json_reply(raw))
    asked = {
        "model": "native",
        "input": [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
            {"role": "user", "content": "x"},
        ],
        "tools": [{"type": "web_search"}, {"type": "custom", "name": "c"}],
        "include": ["reasoning.encrypted_content"],
        "field_of_the_future": {"x": 1},
        "store": True,
    }

    answer = post(gateway, key, **asked)

    assert answer.content == raw
    received = provider.calls[0].received
    assert received.target == "/v1/responses"
    assert received.json == asked | {"model": "native-2025"}
    assert "x-thriftgate-warning" not in answer.headers
    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.input_tokens, row.cache_read_tokens, row.output_tokens, row.reasoning_tokens) == (30, 10, 9, 3)


def test_a_picture_that_the_provider_keeps_reaches_it(gateway: RunningGateway, key: str, provider: Provider) -> None:
    provider.script("native-2025", whole(message("A cat.")))
    parts = [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "file_id": "file-1"}]

    answer = post(gateway, key, model="native", input=[{"role": "user", "content": parts}])

    assert answer.status_code == 200
    assert provider.calls[0].received.json["input"][0]["content"] == parts


def test_what_a_client_writes_inside_an_item_makes_another_question(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    provider.script("native-2025", whole(message("Blue.")))
    provider.script("large-2025", json_reply(chat_body("Blue.")))

    def ask(name: str, **fields: str) -> httpx.Response:
        remark = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Sure."}]}
        asked = {"role": "user", "content": "Which colour does the clear sky have at noon?"}
        items = [{"role": "user", "content": "Tell me of colours."}, remark | fields, asked]
        return post(gateway, key, model=name, input=items)

    for name in ("native", "large"):
        plain, early, late, again = ask(name), ask(name, phase="commentary"), ask(name, phase="final_answer"), ask(name)
        dispositions = [each.headers["x-thriftgate-cache"] for each in (plain, early, late, again)]
        assert dispositions == ["miss", "miss", "miss", "exact"]
        assert ask(name, id="msg_1", status="completed").headers["x-thriftgate-cache"] == "exact"
        told = early.headers.get("x-thriftgate-warning")
        assert told == (None if name == "native" else "not passed on: input[1].phase")


def test_a_stream_passes_untouched(gateway: RunningGateway, key: str, provider: Provider) -> None:
    events = text_events(["One ", UNICODE])
    odd = b": ping\n\n" + named("response.web_search_call.searching", 99, item_id="ws", output_index=3)
    sent = b"".join([*events[:4], odd, *events[4:]])
    provider.script("native-2025", stream_reply([sent[:333], sent[333:]]))

    answer = post(gateway, key, model="native", input="Stream it as it is.", stream=True)

    assert answer.content == sent
    assert answer.headers["content-type"].startswith("text/event-stream")
    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.input_tokens, row.output_tokens, row.status) == (30, 9, "ok")


def test_the_stream_helper_of_the_sdk_takes_what_passes(client: OpenAI, provider: Provider) -> None:
    provider.script("native-2025", streamed(["One ", "two"]))

    with client.responses.stream(model="native", input="Pass a stream to the helper.") as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        answer = stream.get_final_response()

    assert pieces == ["One ", "two"]
    assert answer.output_text == "One two"


def test_a_chat_is_still_a_chat_at_a_provider_that_has_responses(client: OpenAI, provider: Provider) -> None:
    provider.script("native-2025", json_reply(chat_body("A chat.")))

    answer = client.chat.completions.create(model="native", messages=[{"role": "user", "content": "Chat natively."}])

    assert answer.choices[0].message.content == "A chat."
    assert provider.calls[0].received.target == "/v1/chat/completions"


def test_a_stored_answer_serves_both_apis_in_their_own_form(client: OpenAI, provider: Provider) -> None:
    provider.script("native-2025", whole(message("Paris is the capital.")))
    question = "What is the capital of France, please?"

    first = client.responses.create(model="native", input=question)
    again = client.responses.with_raw_response.create(model="native", input=question)
    chat = client.chat.completions.with_raw_response.create(
        model="native", messages=[{"role": "user", "content": question}]
    )
    with client.responses.stream(model="native", input=question) as stream:
        streamed_again = stream.get_final_response()

    assert [answer.headers["x-thriftgate-cache"] for answer in (again, chat)] == ["exact", "exact"]
    assert again.parse().output_text == streamed_again.output_text == first.output_text == "Paris is the capital."
    assert chat.parse().choices[0].message.content == "Paris is the capital."
    assert again.parse().id != first.id
    assert len(provider.calls) == 1


def test_nobody_is_given_the_user_or_the_metadata_of_somebody_else(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    gate = provider.gate()

    def reply(received: Received) -> list[Any]:
        asked = received.json
        return [gate, *whole(message("Paris."), metadata=asked["metadata"], user=asked["user"])]

    provider.script("native-2025", reply)
    question = "What is the largest city of France, please?"

    def ask(who: str) -> httpx.Response:
        return post(gateway, key, model="native", input=question, metadata={"customer": who}, user=who)

    with ThreadPoolExecutor(2) as pool:
        asked = {who: pool.submit(ask, who) for who in ("ann", "bob")}
        eventually(lambda: gate.arrived == 2)
        gate.open()
    stored = ask("cleo")

    assert stored.headers["x-thriftgate-cache"] == "exact"
    for who, answer in {"cleo": stored, **{who: each.result() for who, each in asked.items()}}.items():
        assert (answer.json()["metadata"], answer.json()["user"]) == ({"customer": who}, who)


def test_an_answer_to_chats_serves_other_words_of_a_response(
    gateway: RunningGateway, client: OpenAI, provider: Provider
) -> None:
    provider.script("large-2025", json_reply(chat_body("Press “Forgot password”.")))
    key = gateway.key(route="faq")
    before = gateway.status()["cache"]
    wordings = ("How do I reset my password?", "How can I reset a password?", "How could I reset my password?")
    for wording in wordings:
        gateway.chat(key, wording, model="large", headers={"cache-control": "no-cache"})
    eventually(lambda: gateway.status()["cache"]["entries"] == before["entries"] + len(wordings))
    eventually(lambda: gateway.status()["cache"]["groups"] < before["groups"] + len(wordings))

    with client.with_options(api_key=key).responses.stream(
        model="large", input="How can I reset my password?"
    ) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_response()

    assert answer.output_text == "Press “Forgot password”."
    assert kinds[-1] == "response.completed"
    assert len(provider.calls) == len(wordings)
    row = gateway.row(request_id=f"req_{answer.id.removeprefix('resp_')}")
    assert (row.disposition, row.served_model) == ("semantic", "large")


def test_what_fits_no_chat_goes_to_the_deployment_that_takes_it(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    provider.script("both-native", whole(message("Searched.")))

    answer = post(gateway, key, model="both", input="Search for it.", tools=[{"type": "web_search"}])

    assert answer.json()["output"][0]["content"][0]["text"] == "Searched."
    assert [call.received.model for call in provider.calls] == ["both-native"]
    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.deployment, row.rationed) == ("native/both-native", False)


def test_a_failure_inside_an_answer_is_one(gateway: RunningGateway, key: str, provider: Provider) -> None:
    failed = response(status="failed", error={"code": "rate_limit_exceeded", "message": "too fast"}, usage=None)
    provider.script("native-2025", json_reply(failed))
    openai_error(post(gateway, key, model="native", input="Fail for the rate."), 429)

    failed["error"] = {"code": "invalid_prompt", "message": "The prompt is invalid."}
    provider.script("native-2025", stream_reply([named("response.failed", 0, response=failed)]))
    error = openai_error(post(gateway, key, model="native", input="Fail for the prompt.", stream=True), 400)
    assert error["code"] == "invalid_prompt"


def test_the_scripted_answers_are_what_the_official_client_accepts(provider: Provider) -> None:
    provider.script("any", whole(message(UNICODE)), streamed(["One ", UNICODE]))

    with OpenAI(base_url=provider.base_url, api_key="none", max_retries=0) as client:
        answer = client.responses.create(model="any", input="x")
        with client.responses.stream(model="any", input="x") as stream:
            final = stream.get_final_response()

    assert answer.output_text == UNICODE
    assert final.output_text == "One " + UNICODE


# --- what providers keep ------------------------------------------------------------------------------------


def test_an_answer_is_continued_where_it_was_made(client: OpenAI, gateway: RunningGateway, provider: Provider) -> None:
    provider.script("both-chat", json_reply(chat_body("not this one")))
    provider.script(
        "both-native",
        whole(message("First."), response_id="resp_k1"),
        streamed(["Second."], response_id="resp_k2"),
        whole(message("Third.")),
    )
    tools: Any = [{"type": "web_search"}]

    first = client.responses.create(model="both", input="Begin.", store=True, tools=tools)
    with client.responses.stream(model="both", input="Go on.", previous_response_id=first.id) as stream:
        second = stream.get_final_response()
    third = client.responses.create(model="both", input=[{"type": "item_reference", "id": "msg_up1"}])

    assert (first.id, second.id, third.output_text) == ("resp_k1", "resp_k2", "Third.")
    sent = [call.received for call in provider.calls]
    assert [received.model for received in sent] == ["both-native"] * 3
    assert sent[1].json["previous_response_id"] == "resp_k1"
    assert {row.disposition for row in gateway.rows(deployment="native/both-native")} == {"bypass"}


def test_an_answer_is_continued_by_nobody_else(gateway: RunningGateway, key: str, provider: Provider) -> None:
    provider.script("native-2025", whole(message("Mine."), response_id="resp_mine"))
    post(gateway, key, model="native", input="Begin something.", store=True)
    provider.calls.clear()

    def refused(by: str, name: str) -> None:
        answer = post(gateway, by, model=name, input="Go on.", previous_response_id="resp_mine")
        openai_error(answer, 400, param="previous_response_id")

    refused(gateway.key(team="others"), "native")
    refused(key, "elsewhere")
    refused(key, "large")
    assert provider.calls == []
    answer = post(gateway, key, model="native", input="Go on.", previous_response_id="resp_mine")
    assert answer.status_code == 200


# --- errors -------------------------------------------------------------------------------------------------


def test_errors_are_those_of_the_sdk(gateway: RunningGateway, client: OpenAI, provider: Provider) -> None:
    provider.script("large-2025", error_reply(429, retry_after="7"))
    with pytest.raises(RateLimitError) as limited:
        client.responses.create(model="large", input="Too fast.")
    assert int(limited.value.response.headers["retry-after"]) >= 7

    with pytest.raises(NotFoundError):
        client.responses.create(model="nonesuch", input="Unknown model.")

    provider.script("native-2025", error_reply(400, "Bad tool."))
    with pytest.raises(BadRequestError, match="Bad tool"):
        client.responses.create(model="native", input="A bad request.")

    with OpenAI(base_url=gateway.base_url, api_key="tg-wrong", max_retries=0) as stranger:
        with pytest.raises(APIStatusError) as unknown:
            stranger.responses.create(model="large", input="Who am I?")
        assert unknown.value.status_code == 401
