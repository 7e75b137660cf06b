"""What a Responses request becomes: a chat of the same sense, or a refusal that names what has none."""

import json
import re
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.catalogue import Deployment, Provider
from router.chat import ChatRequest
from router.errors import RequestInvalid, RouterError
from router.prices import Priced
from router.protocols import responses as native
from router.protocols import spoken, wire_format
from router.protocols.fields import as_sent
from router.surfaces import responses
from router.surfaces.responses_input import sealed, unsealed
from router.surfaces.responses_output import response_of
from tests.router.samples import quick

TOOL = {"type": "function", "name": "lookup", "parameters": {"type": "object", "properties": {}}}


def decoded(**fields: Any) -> ChatRequest:
    return responses.decode_request(json.dumps({"model": "m", "input": "Hello"} | fields).encode(), {})


def deployment(name: str = "here/m", **provider: Any) -> Deployment:
    return Deployment(
        name, Provider("here", "http://here.invalid/v1", **provider), "upstream-model", Priced("here", "m")
    )


def sent(asked: ChatRequest, limit: int | None = None) -> dict[str, Any]:
    """What a provider of the same API gets."""
    found: dict[str, Any] = json.loads(native.encode(asked, deployment(), limit).body)
    return found


# --- the same API on both sides -----------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@quick
@given(st.dictionaries(st.text(min_size=1).map("x_".__add__), json_values), st.lists(json_values.map(str)))
def test_a_request_goes_up_as_it_came_but_for_the_model(unknown: dict[str, Any], texts: list[str]) -> None:
    items = [{"role": "user", "content": text} for text in texts] + [{"type": "of_the_future", "x": 1}]
    body = {"model": "m", "input": items, "stream": True, **unknown}

    asked = responses.decode_request(json.dumps(body).encode(), {})

    assert sent(asked) == body | {"model": "upstream-model"}


def test_a_limit_that_the_gateway_sets_is_the_only_other_edit() -> None:
    assert sent(decoded(max_output_tokens=900), 77)["max_output_tokens"] == 77
    assert sent(decoded(), 77)["max_output_tokens"] == 77


def test_azure_has_its_own_path_and_key_header() -> None:
    wire = native.encode(decoded(), deployment(protocol="azure"), None)

    headers = native.authorised(wire, "http://here.invalid" + wire.path, "secret", None)  # type: ignore[arg-type]

    assert wire.path == "/openai/v1/responses"
    assert headers["api-key"] == "secret"


def test_only_a_provider_that_has_the_api_is_spoken_to_in_it() -> None:
    assert spoken(Provider("p", "http://p.invalid", responses=True), "responses") == "responses"
    assert spoken(Provider("p", "http://p.invalid"), "responses") == "openai"
    assert spoken(Provider("p", "http://p.invalid", responses=True), "openai") == "openai"


# --- as a chat ----------------------------------------------------------------------------------------------


def test_a_plain_question_is_the_same_as_in_a_chat() -> None:
    chat = {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
    }

    forms: list[dict[str, Any]] = [
        {"input": "Hello", "instructions": "Be brief."},
        {"input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]},
        {
            "instructions": "Be brief.",
            "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}],
            "store": False,
            "background": False,
            "truncation": "disabled",
            "text": {"format": {"type": "text"}},
            "include": [],
            "tools": [],
            "top_logprobs": 0,
            "previous_response_id": None,
        },
    ]

    assert [decoded(**form).mapping for form in forms] == [chat] * 3


turns = st.lists(
    st.one_of(
        st.text().map(lambda text: [{"role": "user", "content": text}]),
        st.text().map(lambda text: [{"role": "assistant", "content": text}]),
        st.lists(st.text(), min_size=1, max_size=3).map(
            lambda results: [
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": f"call_{at}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                        for at in range(len(results))
                    ],
                },
                *({"role": "tool", "tool_call_id": f"call_{at}", "content": text} for at, text in enumerate(results)),
            ]
        ),
    )
).map(lambda found: [message for turn in found for message in turn])


def items_of(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages of a chat as items, written down another time."""
    items: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] == "tool":
            items.append(
                {"type": "function_call_output", "call_id": message["tool_call_id"], "output": message["content"]}
            )
            continue
        if message["content"] is not None:
            items.append({"role": message["role"], "content": message["content"]})
        for call in message.get("tool_calls", ()):
            items.append({"type": "function_call", "call_id": call["id"], **call["function"]})
    return items


def in_runs(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What follows a text of the assistant belongs to it."""
    merged: list[dict[str, Any]] = []
    for message in messages:
        if merged and message.get("tool_calls") and merged[-1]["role"] == "assistant":
            merged[-1] = {**merged[-1], "tool_calls": [*merged[-1].get("tool_calls", ()), *message["tool_calls"]]}
        else:
            merged.append(message)
    return merged


@quick
@given(turns)
def test_a_conversation_there_and_back_is_the_same(messages: list[dict[str, Any]]) -> None:
    messages = [{"role": "user", "content": "first"}, *messages]

    assert decoded(input=items_of(messages)).messages == in_runs(messages)


def test_parts_keep_their_sense() -> None:
    parts = [
        {"type": "input_text", "text": "t"},
        {"type": "input_image", "image_url": "https://x.invalid/a.png", "detail": "high"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
        {"type": "input_file", "file_url": "https://x.invalid/a.pdf"},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "input_text", "text": "marked", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
    ]

    (message,) = decoded(input=[{"role": "user", "content": parts}]).messages

    assert message["content"] == [
        {"type": "text", "text": "t"},
        {"type": "image_url", "image_url": {"url": "https://x.invalid/a.png", "detail": "high"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_url": "https://x.invalid/a.pdf"}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "text", "text": "marked", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ]


def test_signed_reasoning_comes_back_with_the_next_request() -> None:
    blocks = [{"type": "thinking", "thinking": "Hm.", "signature": "sig=="}, {"type": "redacted_thinking", "data": "x"}]
    message = {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm.", "thinking_blocks": blocks}
    answer = {"choices": [{"message": message, "finish_reason": "stop"}]}

    output = response_of(answer, decoded(), "req_1")["output"]
    again = decoded(input=[{"role": "user", "content": "x"}, *output, {"role": "user", "content": "y"}])

    assert again.messages[1] == message


@quick
@given(st.text() | st.binary().map(lambda data: sealed([{"x": 1}])[: len(data)]))
def test_reasoning_that_somebody_else_sealed_is_not_opened(content: str) -> None:
    assert unsealed(content) in ([], [{"x": 1}])


# --- what has no form -----------------------------------------------------------------------------------------

NATIVE: Final[dict[str, dict[str, Any]]] = {
    "tools[1]": {"tools": [TOOL, {"type": "web_search"}]},
    "tools[0]": {"tools": [{"type": "custom", "name": "c"}]},
    "input[1]": {"input": [{"role": "user", "content": "x"}, {"type": "mcp_call", "id": "m"}]},
    "input[0].content[0]": {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
    "input[0].content[0].file_id": {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
    "previous_response_id": {"previous_response_id": "resp_1"},
    "conversation": {"conversation": "conv_1"},
    "prompt": {"prompt": {"id": "p"}, "input": None},
    "text.format": {"text": {"format": {"type": "of_the_future"}}},
    "text.novel": {"text": {"novel": 1}},
    "reasoning.mode": {"reasoning": {"mode": "pro"}},
    "tool_choice.type": {"tool_choice": {"type": "mcp", "server_label": "s"}},
}


@pytest.mark.parametrize("protocol", ["openai", "azure", "anthropic", "gemini", "bedrock", "ollama"])
@pytest.mark.parametrize("param", NATIVE)
def test_what_only_the_api_itself_has_is_refused_by_name_everywhere_else(protocol: str, param: str) -> None:
    asked = decoded(**NATIVE[param])

    with pytest.raises(RequestInvalid) as refusal:
        wire_format(protocol).encode(asked, deployment(protocol=protocol, region="eu-west-1"), None)

    assert refusal.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"text": {"format": {"type": "json_object"}}}, "text.format"),
        ({"top_logprobs": 3}, "top_logprobs"),
        (
            {
                "instructions": "Be brief.",
                "input": [
                    {"role": "user", "content": "x"},
                    {"type": "reasoning", "id": "rs", "summary": []},
                    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "c", "output": "42"},
                    {"role": "user", "content": [{"type": "input_image", "image_url": "https://x.invalid/a.png"}]},
                ],
                "tools": [TOOL],
            },
            "input[4].content[0].image_url",
        ),
    ],
)
def test_a_refusal_names_what_the_client_wrote(fields: dict[str, Any], param: str) -> None:
    asked = decoded(**fields)

    with pytest.raises(RequestInvalid) as refusal:
        wire_format("bedrock").encode(asked, deployment(protocol="bedrock", region="eu-west-1"), None)
    told = as_sent(refusal.value, asked)

    assert told.param == param
    assert "messages[" not in str(told)
    assert "response_format" not in str(told)


@pytest.mark.parametrize("protocol", ["openai", "azure", "anthropic", "gemini", "bedrock", "ollama"])
def test_what_may_be_missing_is_told(protocol: str) -> None:
    asked = decoded(include=["reasoning.encrypted_content"], truncation="auto", reasoning={"summary": "auto"})

    wire = wire_format(protocol).encode(asked, deployment(protocol=protocol, region="eu-west-1"), None)

    assert set(wire.dropped) == {"include", "reasoning.summary", "truncation"}


QUESTION = {"role": "user", "content": "x"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "42"}
SAID = {"type": "output_text", "text": "y"}
REMARK = {"type": "message", "role": "assistant", "content": [SAID]}
THOUGHT = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}


def with_field(place: str, name: str, value: Any) -> ChatRequest:
    """A conversation with one more field at this place; without, for None."""
    items = [QUESTION, THOUGHT, REMARK, CALL, RESULT, QUESTION]
    fields: dict[str, Any] = json.loads(json.dumps({"input": items, "tools": [TOOL]}))
    if place == "tool_choice":
        fields["tool_choice"] = {"type": "function", "name": "lookup"}
    found: Any = fields
    for step in re.findall(r"\w+", place):
        found = found[int(step) if step.isdigit() else step]
    found |= {name: value} if value is not None else {}
    return decoded(**fields)


@pytest.mark.parametrize("protocol", ["openai", "azure", "anthropic", "gemini", "bedrock", "ollama"])
@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("input[0]", "novel"),
        ("input[1]", "novel"),
        ("input[1].summary[0]", "novel"),
        ("input[2].content[0]", "novel"),
        ("input[3]", "namespace"),
        ("input[3]", "caller"),
        ("input[4]", "novel"),
        ("tools[0]", "defer_loading"),
        ("tools[0]", "allowed_callers"),
        ("tools[0]", "output_schema"),
        ("tool_choice", "namespace"),
    ],
)
def test_a_field_inside_that_a_chat_has_no_form_for_is_refused_by_name(protocol: str, place: str, name: str) -> None:
    asked = with_field(place, name, "new")

    with pytest.raises(RequestInvalid) as refusal:
        wire_format(protocol).encode(asked, deployment(protocol=protocol, region="eu-west-1"), None)

    assert as_sent(refusal.value, asked).param == f"{place}.{name}"


CARRIED: Final = [
    ("input[1]", "encrypted_content", ["gAAAA", "gBBBB"]),
    ("input[2]", "phase", ["commentary", "final_answer"]),
    ("input[2].content[0]", "annotations", [[{"type": "url_citation", "url": "u"}], [{"type": "file_path"}]]),
]


@pytest.mark.parametrize("protocol", ["openai", "azure", "anthropic", "gemini", "bedrock", "ollama"])
@pytest.mark.parametrize(("place", "name", "values"), CARRIED)
def test_what_agents_carry_along_from_one_model_to_another_is_dropped_and_told(
    protocol: str, place: str, name: str, values: list[Any]
) -> None:
    asked = with_field(place, name, values[0])

    wire = wire_format(protocol).encode(asked, deployment(protocol=protocol, region="eu-west-1"), None)

    assert f"{place}.{name}" in wire.dropped
    assert b"gAAAA" not in wire.body
    assert b"commentary" not in wire.body


@pytest.mark.parametrize(
    ("place", "name", "values"),
    [
        *CARRIED,
        ("input[0]", "novel", [1, 2]),
        ("input[4]", "novel", [1, 2]),
        ("input[2].content[0]", "novel", [1, 2]),
        ("tools[0]", "defer_loading", [True, 1.5]),
    ],
)
def test_another_value_of_a_field_inside_is_another_question(place: str, name: str, values: list[Any]) -> None:
    one, other = (with_field(place, name, value).mapping for value in values)

    assert one != other != with_field(place, name, None).mapping


@pytest.mark.parametrize(
    ("place", "fields"),
    [
        ("input[0]", {"id": "msg_1", "status": "completed"}),
        ("input[1]", {"id": "rs_1", "status": "completed"}),
        ("input[2]", {"id": "msg_2", "status": "incomplete"}),
        ("input[2].content[0]", {"annotations": [], "logprobs": [{"token": "y", "logprob": -0.5}]}),
        ("input[3]", {"id": "fc_1", "status": "completed", "caller": {"type": "direct"}, "async": False}),
        ("input[4]", {"id": "fco_1", "status": "completed"}),
        ("tools[0]", {"defer_loading": False, "allowed_callers": ["direct"]}),
    ],
)
def test_ids_and_states_that_a_client_sends_back_ask_nothing_else(place: str, fields: dict[str, Any]) -> None:
    plain = with_field(place, "id", None).mapping

    for name, value in fields.items():
        assert with_field(place, name, value).mapping == plain


def test_reasoning_of_nothing_but_an_id_is_known_by_it() -> None:
    def thought(known_as: str) -> ChatRequest:
        return decoded(input=[QUESTION, {"type": "reasoning", "id": known_as, "summary": []}, REMARK, QUESTION])

    assert thought("rs_1").mapping != thought("rs_2").mapping
    wire = wire_format("openai").encode(thought("rs_1"), deployment(), None)
    assert wire.dropped == ("input[1].id",)


def test_a_field_whose_name_fits_no_header_is_refused() -> None:
    asked = with_field("input[0]", "\r\nx.phase", "new")

    with pytest.raises(RequestInvalid):
        wire_format("openai").encode(asked, deployment(), None)


@pytest.mark.parametrize("data", ["JVBERi0x", "", 5])
def test_a_file_that_does_not_say_what_it_is_is_refused_whoever_serves(data: Any) -> None:
    with pytest.raises(RequestInvalid) as refusal:
        decoded(input=[{"role": "user", "content": [{"type": "input_file", "filename": "a.pdf", "file_data": data}]}])

    assert refusal.value.param == "input[0].content[0].file_data"


def test_a_picture_that_the_provider_keeps_is_a_picture() -> None:
    def seen(known_as: str) -> ChatRequest:
        return decoded(input=[{"role": "user", "content": [{"type": "input_image", "file_id": known_as}]}])

    assert seen("file-1").modalities == {"image_url"}
    assert seen("file-1").mapping != seen("file-2").mapping


def test_what_the_provider_adds_unseen_is_reserved_for() -> None:
    for fields in NATIVE.values():
        asked = decoded(**fields)
        bound = asked.input_bound(1_000_000)
        assert (bound == 1_000_000) == asked.has_unseen_input
    assert decoded(previous_response_id="resp_1").has_unseen_input
    assert not decoded(tools=[TOOL]).has_unseen_input


@quick
@given(
    st.dictionaries(
        st.sampled_from(
            "input instructions tools tool_choice text reasoning include top_logprobs store conversation".split()
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from("type role content text name call_id output summary format effort id".split()),
                    inner
                    | st.sampled_from(["message", "function", "function_call", "reasoning", "input_text", "user"]),
                    max_size=4,
                )
            ),
            max_leaves=12,
        ),
    )
)
def test_any_request_is_decoded_and_encoded_or_refused(fields: dict[str, Any]) -> None:
    body = json.dumps({"model": "m", "input": "x"} | fields).encode()
    try:
        asked = responses.decode_request(body, {})
        wire_format("openai").encode(asked, deployment(), None)
    except RouterError as error:
        assert isinstance(error, RequestInvalid)  # noqa: PT017
    else:
        assert asked.messages


@quick
@given(st.binary())
def test_any_bytes_are_a_request_or_refused(body: bytes) -> None:
    with pytest.raises(RequestInvalid):
        responses.decode_request(body, {})
