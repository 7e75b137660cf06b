"""What Gemini is asked: every canonical field is converted, told or refused by its name, and nothing else is added."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.catalogue import Deployment, Provider
from router.errors import RequestInvalid
from router.prices import Priced
from router.protocols.gemini import authorised, encode
from router.protocols.gemini_requests import generation
from router.protocols.wire import Wire
from tests.router.conversations import SCALARS, conversations, declared, told
from tests.router.samples import AT, quick, request

PROVIDER = Provider("google", "https://google.invalid/v1beta")
PNG = "iVBORw0KGgo="
TOOL = {"type": "function", "function": {"name": "find", "description": "Finds.", "parameters": {"type": "object"}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"id": 7}'}}


def wire(model: str = "gemini-2.5-pro", limit: int | None = None, **fields: Any) -> Wire:
    return encode(request(**fields), Deployment("google/m", PROVIDER, model, Priced("google", model)), limit)


def sent(model: str = "gemini-2.5-pro", limit: int | None = None, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(wire(model, limit, **fields).body)
    return found


def config(model: str = "gemini-2.5-pro", **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = sent(model, **fields).get("generationConfig", {})
    return found


def says(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    """The contents that these messages become."""
    found: list[dict[str, Any]] = sent(messages=list(messages))["contents"]
    return found


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


# --- address and credentials ----------------------------------------------------------------------------------------


def test_the_model_stands_in_the_path_and_a_stream_is_asked_for_as_events() -> None:
    assert wire().path == "/models/gemini-2.5-pro:generateContent"
    assert wire(stream=True).path == "/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    assert wire("tunedModels/mine").path == "/tunedModels/mine:generateContent"


def test_the_key_travels_in_a_header_and_never_in_the_url() -> None:
    headers = authorised(wire(), "https://google.invalid/v1beta/models/m:generateContent", "secret", AT)

    assert headers["x-goog-api-key"] == "secret"
    assert "secret" not in wire().path
    assert "x-goog-api-key" not in authorised(wire(), "https://google.invalid", None, AT)


# --- messages -------------------------------------------------------------------------------------------------------


def test_instructions_leave_the_conversation_wherever_they_stood() -> None:
    found = sent(
        messages=[
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hello"},
            {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        ]
    )

    assert found["systemInstruction"] == {"parts": [{"text": "Be kind."}, {"text": "Be brief."}]}
    assert found["contents"] == [{"role": "user", "parts": [{"text": "Hello"}]}]


@pytest.mark.parametrize(
    ("part", "converted"),
    [
        ({"type": "text", "text": "Hi"}, {"text": "Hi"}),
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            {"inlineData": {"mimeType": "image/png", "data": PNG}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://pictures.invalid/a.jpg?size=1", "detail": "auto"}},
            {"fileData": {"fileUri": "https://pictures.invalid/a.jpg?size=1", "mimeType": "image/jpeg"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://pictures.invalid/a"}},
            {"fileData": {"fileUri": "https://pictures.invalid/a"}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0="}},
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
        ),
        (
            {"type": "file", "file": {"file_url": "gs://bucket/a.pdf"}},
            {"fileData": {"fileUri": "gs://bucket/a.pdf", "mimeType": "application/pdf"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:text/plain,caf%C3%A9"}},
            {"inlineData": {"mimeType": "text/plain", "data": "Y2Fmw6k="}},
        ),
    ],
)
def test_content_parts_keep_their_kind(part: dict[str, Any], converted: dict[str, Any]) -> None:
    assert says(user(part)) == [{"role": "user", "parts": [converted]}]


def test_a_tool_call_and_its_result_go_by_the_name_and_the_id() -> None:
    contents = says(
        {"role": "user", "content": "Find 7."},
        {"role": "assistant", "content": "I look.", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "found"},
    )

    assert contents[1:] == [
        {
            "role": "model",
            "parts": [{"text": "I look."}, {"functionCall": {"id": "call_1", "name": "find", "args": {"id": 7}}}],
        },
        {
            "role": "user",
            "parts": [{"functionResponse": {"id": "call_1", "name": "find", "response": {"output": "found"}}}],
        },
    ]


def test_results_of_calls_that_were_made_together_go_together() -> None:
    calls = [{**CALL, "id": f"call_{number}"} for number in range(3)]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "{}"} for call in calls]

    contents = says(
        {"role": "user", "content": "Find."}, {"role": "assistant", "tool_calls": calls}, *results,
        {"role": "user", "content": "And?"},
    )  # fmt: skip

    assert [len(content["parts"]) for content in contents] == [1, 3, 3, 1]


@pytest.mark.parametrize(
    ("message", "result"),
    [
        ({"content": '{"total": 3}'}, {"response": {"total": 3}}),
        ({"content": "[3]"}, {"response": {"output": "[3]"}}),
        ({"content": "gone", "is_error": True}, {"response": {"error": "gone"}}),
        ({"content": '{"why": 1}', "is_error": True}, {"response": {"error": '{"why": 1}'}}),
        (
            {"content": [{"type": "text", "text": "see"},
                         {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]},
            {"response": {"output": "see"}, "parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}]},
        ),
    ],
)  # fmt: skip
def test_a_result_is_an_object_and_an_error_says_so(message: dict[str, Any], result: dict[str, Any]) -> None:
    contents = says(
        {"role": "user", "content": "Find."},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", **message},
    )

    found = contents[-1]["parts"][0]["functionResponse"]
    assert {name: found[name] for name in found if name not in ("id", "name")} == result


def test_a_call_without_arguments_has_an_empty_object_of_them() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": ""}}

    contents = says({"role": "user", "content": "When?"}, {"role": "assistant", "tool_calls": [call]})

    assert contents[1]["parts"] == [{"functionCall": {"id": "call_1", "name": "now", "args": {}}}]


def test_thoughts_and_signatures_return_to_where_they_came_from() -> None:
    signed = {**CALL, "extra_content": {"google": {"thought_signature": "of the call"}}}
    asked: list[dict[str, Any]] = [
        {"role": "user", "content": "Find 7."},
        {
            "role": "assistant",
            "reasoning_content": "I should look.",
            "content": "I look.",
            "tool_calls": [signed],
            "extra_content": {"google": {"thought_signature": "of the text"}},
        },
    ]

    parts = sent("gemini-3-pro", messages=asked)["contents"][1]["parts"]

    assert parts == [
        {"text": "I should look.", "thought": True},
        {"text": "I look.", "thoughtSignature": "of the text"},
        {
            "functionCall": {"id": "call_1", "name": "find", "args": {"id": 7}},
            "thoughtSignature": "of the call",
        },
    ]


def test_from_generation_3_on_the_first_of_unsigned_calls_says_that_nobody_signed_it() -> None:
    asked = [
        {"role": "user", "content": "Find."},
        {"role": "assistant", "tool_calls": [CALL, {**CALL, "id": "call_2"}]},
    ]

    def signatures(model: str) -> list[str | None]:
        return [part.get("thoughtSignature") for part in sent(model, messages=asked)["contents"][1]["parts"]]

    assert signatures("gemini-3-pro") == ["skip_thought_signature_validator", None]
    assert signatures("gemini-2.5-flash") == [None, None]


def test_a_refusal_of_the_history_is_what_the_model_said() -> None:
    contents = says({"role": "user", "content": "x"}, {"role": "assistant", "refusal": "I cannot."})

    assert contents[1] == {"role": "model", "parts": [{"text": "I cannot."}]}


@pytest.mark.parametrize(
    ("model", "number"), [("gemini-2.5-pro", 2), ("gemini-3-flash", 3), ("gemini-flash-latest", 3)]
)
def test_the_generation_is_read_off_the_name(model: str, number: int) -> None:
    assert generation(model) == number


# --- tools ----------------------------------------------------------------------------------------------------------


def test_tools_keep_their_schemas_as_they_are() -> None:
    assert sent(tools=[TOOL])["tools"] == [
        {
            "functionDeclarations": [
                {"name": "find", "description": "Finds.", "parametersJsonSchema": {"type": "object"}}
            ]
        }
    ]


@pytest.mark.parametrize(
    ("choice", "converted"),
    [
        (None, None),
        ("auto", None),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "find"}}, {"mode": "ANY", "allowedFunctionNames": ["find"]}),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "find"}}]},
            },
            {"mode": "VALIDATED", "allowedFunctionNames": ["find"]},
        ),
    ],
)
def test_a_tool_choice_is_a_mode(choice: Any, converted: Any) -> None:
    found = sent(tools=[TOOL], tool_choice=choice).get("toolConfig")

    assert found == (converted and {"functionCallingConfig": converted})


def test_strict_tools_are_validated_where_the_model_may_also_answer_in_words() -> None:
    strict = {"type": "function", "function": {**TOOL["function"], "strict": True}}  # type: ignore[dict-item]

    assert sent(tools=[strict])["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


# --- how to answer --------------------------------------------------------------------------------------------------


def test_every_setting_has_its_name_there() -> None:
    assert config(
        temperature=0.5, top_p=0.9, top_k=40, seed=7, n=2, presence_penalty=0.1, frequency_penalty=0.2,
        logprobs=True, top_logprobs=3, stop=["END"], max_completion_tokens=99,
    ) == {
        "temperature": 0.5, "topP": 0.9, "topK": 40, "seed": 7, "candidateCount": 2, "presencePenalty": 0.1,
        "frequencyPenalty": 0.2, "responseLogprobs": True, "logprobs": 3, "stopSequences": ["END"],
        "maxOutputTokens": 99,
    }  # fmt: skip


def test_a_limit_that_the_gateway_sets_replaces_the_clients() -> None:
    assert sent(limit=50, max_tokens=99)["generationConfig"] == {"maxOutputTokens": 50}
    assert "generationConfig" not in sent()


def test_json_is_asked_for_with_and_without_a_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": schema}}

    assert config(response_format={"type": "json_object"}) == {"responseMimeType": "application/json"}
    assert config(response_format=form) == {"responseMimeType": "application/json", "responseJsonSchema": schema}
    assert config(response_format={"type": "text"}) == {}


@pytest.mark.parametrize(
    ("model", "fields", "thinking"),
    [
        ("gemini-2.5-pro", {"reasoning_effort": "none"}, {"thinkingBudget": 0}),
        ("gemini-2.5-pro", {"reasoning_effort": "low"}, {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-pro", {"reasoning_effort": "high"}, {"thinkingBudget": 24576, "includeThoughts": True}),
        ("gemini-3-pro", {"reasoning_effort": "none"}, {"thinkingLevel": "MINIMAL"}),
        ("gemini-3-pro", {"reasoning_effort": "medium"}, {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        ("gemini-3-pro", {"thinking": {"type": "disabled"}}, {"thinkingBudget": 0}),
        (
            "gemini-3-pro",
            {"thinking": {"type": "enabled", "budget_tokens": 500}, "reasoning_effort": "low"},
            {"thinkingBudget": 500, "includeThoughts": True},
        ),
        ("gemini-3-pro", {"thinking": {"type": "adaptive"}}, {"thinkingBudget": -1, "includeThoughts": True}),
        ("gemini-3-pro", {"thinking": {"type": "adaptive", "display": "omitted"}}, {"thinkingBudget": -1}),
    ],
)
def test_whoever_asks_for_reasoning_gets_it_in_the_models_own_measure(
    model: str, fields: dict[str, Any], thinking: dict[str, Any]
) -> None:
    assert config(model, **fields) == {"thinkingConfig": thinking}


# --- told and refused -----------------------------------------------------------------------------------------------


def test_what_is_harmless_is_left_out_and_told() -> None:
    found = wire(
        user="u1",
        metadata={"case": "faq"},
        store=False,
        service_tier="flex",
        messages=[
            {"role": "user", "name": "ada", "content": [
                {"type": "image_url", "image_url": {"url": "https://a.invalid/a.png", "detail": "low"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
                {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}},
            ]},
            {"role": "assistant", "content": "y", "thinking_blocks": [{"type": "redacted_thinking"}]},
            {"role": "user", "content": "x"},
        ],
    )  # fmt: skip

    assert set(found.dropped) == {
        "user", "metadata", "service_tier", "messages[].name", "messages[].content[].image_url.detail",
        "messages[].content[].file.filename", "messages[].cache_control", "messages[].thinking_blocks",
    }  # fmt: skip


USER = {"role": "user", "content": "x"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"future_field": 1}, "future_field"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"modalities": ["text", "audio"]}, "audio.voice"),
        ({"modalities": ["text", "image"]}, "modalities[1]"),
        ({"modalities": ["audio"], "audio": {"voice": "Kore", "format": "wav"}}, "audio.format"),
        ({"modalities": ["audio"], "audio": {"voice": {"id": "v"}, "format": "pcm16"}}, "audio.voice"),
        ({"modalities": ["audio"], "audio": {"voice": "Kore", "format": "pcm16", "odd": 1}}, "audio.odd"),
        ({"messages": [{"role": "user", "content": [
            {"type": "input_audio", "input_audio": {"data": "%", "format": "wav"}}]}]},
         "messages[0].content[0].input_audio.data"),
        ({"tools": [TOOL], "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [TOOL], "tool_choice": {"type": "custom"}}, "tool_choice"),
        ({"response_format": {"type": "grammar"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"thinking": {"type": "sometimes"}}, "thinking.type"),
        ({"thinking": {"type": "adaptive", "odd": 1}}, "thinking.odd"),
        ({"tools": [{"type": "function", "function": {"name": "f", "odd": 1}}]}, "tools[0].function.odd"),
        ({"seed": "seven"}, "seed"),
        ({"top_k": 1.5}, "top_k"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [USER, {"role": "assistant", "audio": {"id": "a"}}]}, "messages[1].audio"),
        ({"messages": [{"role": "user", "content": [{"type": "video_url"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "odd": 1}]}]},
         "messages[0].content[0].odd"),
        ({"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
         "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,%"}}]}]},
         "messages[0].content[0].image_url.url"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
         "messages[0].content[0].file.file_id"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": "JVBERi0="}}]}]},
         "messages[0].content[0].file.file_data"),
        ({"messages": [USER, {"role": "tool", "tool_call_id": "call_9", "content": "x"}]}, "messages[1].tool_call_id"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "[1"}}]}]},
         "messages[1].tool_calls[0].function.arguments"),
    ],
)  # fmt: skip
def test_what_has_no_form_there_is_refused_by_its_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        wire(**fields)

    assert refused.value.param == param


# --- properties -----------------------------------------------------------------------------------------------------


def read_back(body: dict[str, Any]) -> list[Any]:
    """What a Gemini request says, in the words of `told`."""
    rest: list[Any] = []
    for content in body["contents"]:
        for part in content["parts"]:
            match part:
                case {"text": text}:
                    rest.append(({"user": "user", "model": "assistant"}[content["role"]], text))
                case {"inlineData": _}:
                    rest.append((content["role"], "picture"))
                case {"functionCall": call}:
                    rest.append(("calls", call["id"], call["name"], call["args"]))
                case {"functionResponse": result}:
                    response = result["response"]
                    text = response["output"] if response.keys() == {"output"} else json.dumps(response)
                    rest.append(("returns", result["id"], text))
    return [[part["text"] for part in body.get("systemInstruction", {"parts": []})["parts"]], *rest]


@quick
@given(conversations(), SCALARS)
def test_a_conversation_there_and_back_says_the_same(messages: list[dict[str, Any]], scalars: dict[str, Any]) -> None:
    body = sent(messages=messages, tools=declared(messages), **scalars)

    assert read_back(body) == told(messages)
    names = {"temperature": "temperature", "top_p": "topP", "top_k": "topK", "max_tokens": "maxOutputTokens"}
    given = {names[name]: value for name, value in scalars.items() if name in names}
    stop = scalars.get("stop")
    if stop:
        given["stopSequences"] = [stop] if isinstance(stop, str) else stop
    assert body.get("generationConfig", {}) == given


field_names = st.sampled_from("type text function name arguments url image_url file google mode id".split())
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(field_names, inner, max_size=3),
    max_leaves=6,
)
odd_messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool", "system"]), "content": st.text(max_size=3)},
        optional=dict.fromkeys(
            ["tool_calls", "tool_call_id", "reasoning_content", "thinking_blocks", "extra_content", "refusal"], odd
        ),
    ),
    min_size=1,
    max_size=3,
)
odd_fields = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["tool_choice", "stop", "thinking", "reasoning_effort", "seed", "modalities"], odd)
)


@quick
@given(odd_messages, odd_fields, st.sampled_from(["gemini-2.5-pro", "gemini-3-pro"]))
def test_any_request_is_converted_or_refused(
    messages: list[dict[str, Any]], fields: dict[str, Any], model: str
) -> None:
    with suppress(RequestInvalid):
        assert sent(model, messages=messages, **fields)["contents"]
