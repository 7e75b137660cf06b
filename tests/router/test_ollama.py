"""Ollama's own protocol: what it is asked, and what its answers become. Nothing is lost without a word, and nothing
half is called whole."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.catalogue import Deployment, Provider
from router.chat import ChatEvent
from router.errors import RequestInvalid, UpstreamCut, UpstreamError, UpstreamMalformed, UpstreamRejected
from router.prices import Priced
from router.protocols.ollama import Reader, authorised, encode, parse_body, parse_error
from router.protocols.wire import Wire
from router.usage import Usage
from tests.router.conversations import PICTURE, SCALARS, conversations, declared, told
from tests.router.samples import AT, quick, request
from tests.router.streams import body_of, cuts, events_of, pieces

PNG = "iVBORw0KGgo="
TOOL = {"type": "function", "function": {"name": "find", "description": "Finds.", "parameters": {"type": "object"}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"id": 7}'}}
HERE = Deployment("here/m", Provider("here", "http://here.invalid", protocol="ollama"), "qwen3:8b", Priced("here", "m"))
NOW_S = 1_781_000_000.0
# A line separator, a next-line control, and characters of two to four bytes.
UNICODE = "é\u2028你\u0085🙂"


def wire(limit: int | None = None, **fields: Any) -> Wire:
    return encode(request(**fields), HERE, limit)


def sent(limit: int | None = None, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(wire(limit, **fields).body)
    return found


def says(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages that these become."""
    found: list[dict[str, Any]] = sent(messages=list(messages))["messages"]
    return found


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def refused(**fields: Any) -> str | None:
    """The field that the refusal names."""
    with pytest.raises(RequestInvalid) as failed:
        wire(**fields)
    return failed.value.param


# --- what it is asked -----------------------------------------------------------------------------------------------


def test_a_stream_is_asked_for_only_by_who_wants_one() -> None:
    assert wire().path == "/api/chat"
    assert sent() == {"model": "qwen3:8b", "messages": [{"role": "user", "content": "Hello"}], "stream": False}
    assert sent(stream=True, stream_options={"include_usage": True})["stream"] is True


def test_a_key_is_a_bearer_token_and_none_is_none() -> None:
    assert authorised(wire(), "http://here.invalid/api/chat", "secret", AT)["authorization"] == "Bearer secret"
    assert "authorization" not in authorised(wire(), "http://here.invalid/api/chat", None, AT)


def test_instructions_stay_where_they_stood() -> None:
    assert says(
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello"},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
    ) == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello"},
        {"role": "system", "content": "Be brief."},
    ]


def test_texts_and_pictures_of_a_message_are_kept_apart() -> None:
    assert says(user({"type": "text", "text": "a"}, PICTURE, {"type": "text", "text": "b"})) == [
        {"role": "user", "content": "a\nb", "images": [PNG]}
    ]


def test_calls_go_by_the_tools_name_and_their_arguments_as_an_object() -> None:
    empty = {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": ""}}

    assert says(
        {"role": "user", "content": "Find 7."},
        {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [CALL, empty]},
        {"role": "tool", "tool_call_id": "call_2", "content": "noon"},
        {"role": "tool", "tool_call_id": "call_1", "content": "found"},
    )[1:] == [
        {
            "role": "assistant",
            "content": "",
            "thinking": "Hm.",
            "tool_calls": [
                {"function": {"name": "find", "arguments": {"id": 7}}},
                {"function": {"name": "now", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "noon", "tool_name": "now"},
        {"role": "tool", "content": "found", "tool_name": "find"},
    ]


def test_a_refusal_is_what_the_model_said() -> None:
    said = {"role": "assistant", "content": None, "refusal": "No."}

    assert says({"role": "user", "content": "?"}, said, {"role": "user", "content": "!"})[1]["content"] == "No."


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (None, ["find", "now"]),
        ("auto", ["find", "now"]),
        ("none", None),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "now"}}]},
            },
            ["now"],
        ),
    ],
)
def test_only_tools_that_may_be_called_are_sent(choice: Any, names: list[str] | None) -> None:
    now = {"type": "function", "function": {"name": "now"}}

    tools = sent(tools=[TOOL, now], parallel_tool_calls=True, tool_choice=choice).get("tools")

    assert (tools and [tool["function"]["name"] for tool in tools]) == names


@pytest.mark.parametrize(
    ("wanted", "form"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}, {"type": "object"}),
    ],
)
def test_the_form_of_an_answer_is_asked_for(wanted: Any, form: Any) -> None:
    assert sent(response_format=wanted).get("format") == form


@pytest.mark.parametrize(
    ("fields", "think"),
    [
        ({}, None),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_effort": "minimal"}, "low"),
        ({"reasoning_effort": "medium"}, "medium"),
        ({"reasoning_effort": "xhigh"}, "high"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, True),
        ({"thinking": {"type": "adaptive"}}, True),
        ({"thinking": {"type": "disabled"}}, False),
    ],
)
def test_how_much_to_think_is_told(fields: dict[str, Any], think: Any) -> None:
    assert sent(**fields).get("think") == think


def test_the_gateways_limit_goes_before_the_clients() -> None:
    assert sent(max_tokens=9)["options"] == {"num_predict": 9}
    assert sent(limit=5, max_tokens=9)["options"] == {"num_predict": 5}
    assert "options" not in sent()


def test_every_setting_of_the_sampling_is_an_option() -> None:
    settings: dict[str, Any] = {
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 4,
        "seed": 0,
        "frequency_penalty": 1,
        "presence_penalty": 2,
    }

    assert sent(**settings, stop="END")["options"] == {**settings, "stop": ["END"]}
    assert sent(logprobs=True, top_logprobs=3)["top_logprobs"] == 3


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"tools": [TOOL], "tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "find"}}}, "tool_choice"),
        ({"tools": [TOOL], "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"reasoning_effort": "boundless"}, "reasoning_effort"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"messages": [{"role": "user", "content": "x", "novelty": 1}]}, "messages[0].novelty"),
        ({"messages": [{"role": "tool", "tool_call_id": "call_9", "content": "x"}]}, "messages[0].tool_call_id"),
        (
            {"messages": [user({"type": "image_url", "image_url": {"url": "https://a.invalid/b.png"}})]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": [user({"type": "image_url", "image_url": {"url": "data:image/png;base64,!"}})]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": [user({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}})]},
            "messages[0].content[0].type",
        ),
        ({"messages": [user({"type": "file", "file": {"file_id": "file_1"}})]}, "messages[0].content[0].type"),
        (
            {
                "messages": [
                    {"role": "user", "content": "?"},
                    {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "find", "arguments": "{"}}]},
                ]
            },
            "messages[1].tool_calls[0].function.arguments",
        ),
    ],
)
def test_what_has_no_form_there_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    assert refused(**fields) == param


def test_what_may_be_missing_is_left_out_and_told() -> None:
    mark = {"type": "ephemeral"}
    signed = {**CALL, "extra_content": {"google": {"thought_signature": "x"}}}

    found = wire(
        service_tier="flex",
        user="u",
        thinking={"type": "enabled", "budget_tokens": 99},
        tools=[{**TOOL, "cache_control": mark, "function": {**TOOL["function"], "strict": True}}],  # type: ignore[dict-item]
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": mark}], "name": "Ada"},
            {"role": "assistant", "thinking_blocks": [{"type": "thinking", "signature": "x"}], "tool_calls": [signed]},
            {"role": "tool", "tool_call_id": "call_1", "content": "gone", "is_error": True},
        ],
    )

    assert sorted(found.dropped) == [
        "messages[].cache_control",
        "messages[].is_error",
        "messages[].name",
        "messages[].thinking_blocks",
        "messages[].tool_calls[].extra_content",
        "service_tier",
        "thinking.budget_tokens",
        "tools[].cache_control",
        "tools[].function.strict",
        "user",
    ]


def test_reasoning_that_nobody_has_signed_is_told_in_full() -> None:
    said = {"role": "assistant", "content": "x", "reasoning_content": "Hm."}
    blocks = [{"type": "thinking", "thinking": "Hm.", "signature": ""}]

    found = wire(messages=[{"role": "user", "content": "?"}, {**said, "thinking_blocks": blocks}])

    assert found.dropped == ()
    assert json.loads(found.body)["messages"][1]["thinking"] == "Hm."


def back(body: dict[str, Any]) -> list[dict[str, Any]]:
    """What Ollama was told, as a conversation; its calls get ids by their order."""
    messages: list[dict[str, Any]] = []
    made: list[str] = []
    for message in body["messages"]:
        functions = [call["function"] for call in message.get("tool_calls", ())]
        calls: list[dict[str, Any]] = [
            {"id": f"call_{at}", "function": {**function, "arguments": json.dumps(function["arguments"])}}
            for at, function in enumerate(functions, start=len(made) + done(messages))
        ]
        if message["role"] == "tool":
            messages.append({"role": "tool", "tool_call_id": made.pop(0), "content": message["content"]})
            continue
        made = [call["id"] for call in calls]
        pictures = [PICTURE] * len(message.get("images", ()))
        content = [{"type": "text", "text": text} for text in message["content"].split("\n") if text] + pictures
        messages.append({"role": message["role"], "content": content, "tool_calls": calls})
    return [
        {**message, "content": message["content"][0]["text"]} if message["role"] == "system" else message
        for message in messages
    ]


def done(messages: list[dict[str, Any]]) -> int:
    """How many calls came before."""
    return sum(message["role"] == "tool" for message in messages)


def plain(messages: list[dict[str, Any]]) -> list[Any]:
    """What a conversation tells, with each message's pictures behind its words, as Ollama has them."""
    ordered = []
    for message in messages:
        content = message["content"]
        if isinstance(content, list):
            content = sorted(content, key=lambda part: part["type"] != "text")
        ordered.append({**message, "content": content})
    return told(ordered)


@quick
@given(conversations())
def test_a_conversation_is_told_as_it_was(messages: list[dict[str, Any]]) -> None:
    if "\n" in json.dumps([message["content"] for message in messages]).replace("\\n", "\n"):
        return  # a line break inside a text is none between two
    assert plain(back(sent(messages=messages, tools=declared(messages)))) == plain(messages)


@quick
@given(SCALARS)
def test_settings_go_there_unchanged(settings: dict[str, Any]) -> None:
    options = sent(**settings).get("options", {})

    stop = settings.pop("stop", None)
    limit = settings.pop("max_tokens", None)
    assert options.pop("stop", None) == ([stop] if isinstance(stop, str) else stop)
    assert options.pop("num_predict", None) == limit
    assert options == settings


# --- what it answers ------------------------------------------------------------------------------------------------


def step(said: str = "", **message: Any) -> dict[str, Any]:
    return {
        "model": "qwen3:8b",
        "created_at": "2026-06-17T12:30:00.123456789Z",
        "message": {"role": "assistant", "content": said, **message},
        "done": False,
    }


def last(said: str = "", reason: str = "stop", **message: Any) -> dict[str, Any]:
    counts = {"done": True, "done_reason": reason, "prompt_eval_count": 12, "eval_count": 7}
    return step(said, **message) | counts


def body(**fields: Any) -> dict[str, Any]:
    """The canonical body of a whole answer."""
    return parse_body(json.dumps(last(**fields)).encode()).data or {}


def line(payload: Any) -> bytes:
    return json.dumps(payload, ensure_ascii=False).encode() + b"\n"


def called(name: str = "find", **function: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": {"id": 7}, **function}}


STREAM = b"".join(
    [
        line(step(thinking="Hm.")),
        line(step("Hel")),
        line(step(f"lo {UNICODE}")),
        line(step(tool_calls=[called(), called()])),
        line(step(tool_calls=[called("now", arguments={})])),
        line(last()),
    ]
)


def test_an_answer_keeps_its_bytes_its_model_its_time_and_its_counts() -> None:
    raw = json.dumps(last(UNICODE, thinking="Hm.")).encode()

    seen = parse_body(raw)

    assert (seen.kind, seen.raw, seen.dialect, seen.is_last) == ("body", raw, "ollama", True)
    assert seen.usage == Usage(input=12, output=7)
    assert seen.data is not None
    assert seen.data.pop("id").startswith("chatcmpl-")
    assert seen.data == {
        "object": "chat.completion",
        "created": int(datetime(2026, 6, 17, 12, 30, tzinfo=UTC).timestamp()),
        "model": "qwen3:8b",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": UNICODE, "reasoning_content": "Hm."},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 7,
            "total_tokens": 19,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


@pytest.mark.parametrize(
    ("reason", "calls", "finish"),
    [
        ("stop", [], "stop"),
        ("length", [], "length"),
        ("stop", [called()], "tool_calls"),
        ("length", [called()], "length"),
        ("unload", [], "stop"),
    ],
)
def test_why_an_answer_ended(reason: str, calls: list[Any], finish: str) -> None:
    assert body(reason=reason, tool_calls=calls)["choices"][0]["finish_reason"] == finish


def test_calls_have_ids_that_differ_and_the_same_for_the_same_answer() -> None:
    made = body(tool_calls=[called(), called(), called("now", arguments=None), {**called(), "id": "given"}])
    again = body(tool_calls=[called(), called(), called("now", arguments=None), {**called(), "id": "given"}])

    calls = made["choices"][0]["message"]["tool_calls"]
    assert [call["function"]["arguments"] for call in calls] == ['{"id":7}', '{"id":7}', "{}", '{"id":7}']
    assert len({call["id"] for call in calls}) == 4
    assert calls[-1]["id"] == "given"
    assert calls == again["choices"][0]["message"]["tool_calls"]


def test_log_probabilities_keep_their_tokens_and_alternatives() -> None:
    token = {"token": "é", "logprob": -0.5}
    raw = last("é") | {"logprobs": [{**token, "top_logprobs": [token, {"token": "e", "logprob": -2}]}, token]}

    found = (parse_body(json.dumps(raw).encode()).data or {})["choices"][0]["logprobs"]["content"]

    assert [(each["token"], each["logprob"], len(each["top_logprobs"])) for each in found] == [
        ("é", -0.5, 2),
        ("é", -0.5, 0),
    ]


def test_a_stream_adds_up_to_the_answer() -> None:
    found = body_of(Reader(), STREAM)

    message = found["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("Hm.", f"Hello {UNICODE}")
    assert [call["function"]["name"] for call in message["tool_calls"]] == ["find", "find", "now"]
    assert len({call["id"] for call in message["tool_calls"]}) == 3
    assert found["choices"][0]["finish_reason"] == "tool_calls"
    assert found["usage"]["total_tokens"] == 19


def test_every_chunk_of_a_stream_has_the_same_id_and_time() -> None:
    later = step("b") | {"created_at": "2026-06-17T12:31:59Z"}
    events = events_of(Reader(), line(step("a")), line(later), line(last()))

    assert len({(seen.data["id"], seen.data["created"]) for seen in events if seen.data}) == 1


def test_usage_comes_once_at_the_end_and_without_a_choice() -> None:
    events = events_of(Reader(), STREAM)

    assert [seen.kind for seen in events[-2:]] == ["chunk", "done"]
    assert [seen.is_usage_only for seen in events].count(True) == 1
    assert events[-2].usage == Usage(input=12, output=7)
    assert [reason for seen in events for reason in seen.finish_reasons] == ["tool_calls"]


@quick
@given(cuts)
def test_a_stream_means_the_same_however_it_was_cut(places: list[int]) -> None:
    assert events_of(Reader(), *pieces(STREAM, places)) == events_of(Reader(), STREAM)


def test_a_stream_that_stops_at_any_byte_before_its_last_object_is_cut() -> None:
    for end in range(STREAM.rstrip().rindex(b"\n") + 1):
        with pytest.raises(UpstreamCut) as failed:
            events_of(Reader(), STREAM[:end])
        assert failed.value.billed == "unknown"


def test_a_whole_object_without_its_line_end_ends_a_stream_only_if_it_is_the_last() -> None:
    assert body_of(Reader(), STREAM.rstrip())["choices"][0]["finish_reason"] == "tool_calls"
    with pytest.raises(UpstreamCut):
        events_of(Reader(), line(step("Half")).rstrip())


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b'{"message": "x", "done": true}',
        json.dumps(step("Half")).encode(),
        json.dumps(last() | {"eval_count": -1}).encode(),
        json.dumps(last(tool_calls=[{"function": {"name": "f", "arguments": "{}"}}])).encode(),
        b"\xff" + json.dumps(last()).encode(),
        b"[" * 99_999,
    ],
)
def test_an_answer_against_the_protocol_is_malformed(payload: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        parse_body(payload)


def test_counts_that_are_not_told_are_no_usage() -> None:
    raw = {name: value for name, value in last("x").items() if not name.endswith("_count")}

    assert parse_body(json.dumps(raw).encode()).usage is None


def test_an_error_in_place_of_an_answer_or_in_a_stream_is_a_rejection() -> None:
    for read in (
        lambda: parse_body(b'{"error": "out of memory"}'),
        lambda: events_of(Reader(), line(step("a")), line({"error": "out of memory"})),
        lambda: events_of(Reader(), line(step("a")), b'{"error": "out of memory"}'),
    ):
        with pytest.raises(UpstreamRejected) as failed:
            read()
        assert failed.value.retryable


def test_what_is_said_of_the_request_is_kept_and_what_of_the_server_is_not() -> None:
    unknown = parse_error(404, {}, b'{"error": "model \'m\' not found"}', NOW_S)
    busy = parse_error(503, {"retry-after": "7"}, b'{"error": "server at 10.0.0.7 is busy"}', NOW_S)

    assert (unknown.retryable, str(unknown)) == (False, "model 'm' not found")
    assert (busy.retryable, busy.retry_after_s) == (True, 7)
    assert "10.0.0.7" not in str(busy)


# --- anything at all ------------------------------------------------------------------------------------------------

names = st.sampled_from(
    "model created_at message content thinking tool_calls function name arguments id done done_reason eval_count "
    "prompt_eval_count logprobs token logprob top_logprobs error".split()
)
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """A proper object with something odd in one place."""
    payload: dict[str, Any] = draw(st.sampled_from([step, last]))("x", tool_calls=[called()])
    call = payload["message"]["tool_calls"][0]
    draw(st.sampled_from([payload, payload["message"], call, call["function"]]))[draw(names)] = draw(odd)
    return payload


@quick
@given((odd | spoilt()).map(lambda payload: json.dumps(payload).encode()) | st.binary(max_size=60))
def test_any_answer_is_understood_or_refused_in_our_own_words(payload: bytes) -> None:
    readings: list[Callable[[], list[ChatEvent]]] = [
        lambda: [parse_body(payload)],
        lambda: events_of(Reader(), payload + b"\n"),
        lambda: events_of(Reader(), payload),
    ]
    for read in readings:
        with suppress(UpstreamError):
            events = read()
            assert events[-1].is_last
            assert all(seen.text_bytes >= 0 and isinstance(seen.finish_reasons, list) for seen in events)


@quick
@given(st.lists(odd | spoilt(), max_size=4).map(lambda all_: b"".join(line(each) for each in all_)), cuts)
def test_any_stream_ends_or_fails_likewise_however_it_was_cut(data: bytes, places: list[int]) -> None:
    def outcome(*chunks: bytes) -> Any:
        try:
            return events_of(Reader(), *chunks)
        except UpstreamError as failed:
            return str(failed)

    assert outcome(*pieces(data, places)) == outcome(data)


@quick
@given(st.integers(300, 599), st.dictionaries(st.sampled_from(["retry-after", "x"]), st.text(max_size=5)), odd)
def test_any_error_is_a_rejection(status: int, headers: dict[str, str], error: Any) -> None:
    assert parse_error(status, headers, json.dumps({"error": error}).encode(), NOW_S).status


@quick
@given(st.dictionaries(st.sampled_from(["tools", "tool_choice", "stop", "thinking", "response_format", "n", "x"]), odd))
def test_any_request_is_converted_or_refused_by_name(fields: dict[str, Any]) -> None:
    with suppress(RequestInvalid):
        encode(request(**fields), HERE, None)
