"""What Bedrock is asked: every canonical field is converted, told or refused by its name, and the request is signed."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from router.catalogue import Deployment, Provider
from router.errors import RequestInvalid
from router.prices import Priced
from router.protocols.bedrock import authorised, encode
from router.protocols.wire import Wire
from tests.router.conversations import SCALARS, conversations, declared, told
from tests.router.samples import AT, quick, request

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NEWEST = "global.anthropic.claude-opus-4-7-v1"
OLDER_CLAUDE = "us.anthropic.claude-3-7-sonnet-20250219-v1:0"
NEWEST_CLAUDE = "us.anthropic.claude-opus-4-7-v1:0"
NOVA = "eu.amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama4-maverick-17b-instruct-v1:0"
PROVIDER = Provider("aws", "https://bedrock-runtime.eu-central-1.amazonaws.com", region="eu-central-1")
KEY = "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
PNG = "iVBORw0KGgo="
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
TOOL = {"type": "function", "function": {"name": "find", "description": "Finds.", "parameters": {"type": "object"}}}
SPEC = {"toolSpec": {"name": "find", "description": "Finds.", "inputSchema": {"json": {"type": "object"}}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"id": 7}'}}
USER = {"role": "user", "content": "x"}


def wire(model: str = CLAUDE, limit: int | None = None, **fields: Any) -> Wire:
    return encode(request(**fields), Deployment("aws/m", PROVIDER, model, Priced("aws", model)), limit)


def sent(model: str = CLAUDE, limit: int | None = None, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(wire(model, limit, **fields).body)
    return found


def extra(model: str = CLAUDE, **fields: Any) -> Any:
    return sent(model, **fields).get("additionalModelRequestFields")


def content(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sent(messages=[{"role": "user", "content": list(parts)}])["messages"][0]["content"]
    return found


# --- address and credentials ----------------------------------------------------------------------------------------


def test_the_model_stands_in_the_path_as_it_will_be_on_the_wire() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-v1:0"

    assert wire().path == f"/model/{CLAUDE}/converse"
    assert wire(stream=True).path == f"/model/{CLAUDE}/converse-stream"
    assert wire(arn).path == f"/model/{arn.replace('/', '%2F')}/converse"


def test_a_bedrock_key_is_a_bearer_token() -> None:
    headers = authorised(wire(), "https://bedrock.invalid/model/m/converse", "bedrock-api-key-abc=", AT)

    assert headers["authorization"] == "Bearer bedrock-api-key-abc="
    assert "x-amz-date" not in headers


@pytest.mark.parametrize("token", [None, "session/token+=="])
def test_credentials_sign_the_request_as_the_official_signer_does(token: str | None) -> None:
    asked = wire()
    url = PROVIDER.base_url + asked.path

    headers = authorised(asked, url, KEY if token is None else f"{KEY}:{token}", AT)

    assert headers["x-amz-date"] == "20260617T123000Z"
    assert headers.get("x-amz-security-token") == token
    access, secret = KEY.split(":")
    theirs = AWSRequest("POST", url, headers={name: headers[name] for name in ("content-type", "accept-encoding")})
    theirs.data = asked.body
    theirs.context["timestamp"] = headers["x-amz-date"]
    theirs.headers["X-Amz-Date"] = headers["x-amz-date"]
    if token:
        theirs.headers["X-Amz-Security-Token"] = token
    signer = SigV4Auth(Credentials(access, secret, token), "bedrock", "eu-central-1")
    signature = signer.signature(signer.string_to_sign(theirs, signer.canonical_request(theirs)), theirs)
    assert headers["authorization"].endswith(f"Signature={signature}")
    assert "/20260617/eu-central-1/bedrock/aws4_request" in headers["authorization"]
    assert secret not in str(headers)


def test_a_signature_depends_on_nothing_but_the_request_the_credentials_and_the_time() -> None:
    url = PROVIDER.base_url + wire().path
    first = authorised(wire(), url, KEY, AT)

    assert authorised(wire(), url, KEY, AT) == first
    assert authorised(wire(), url, KEY, datetime(2026, 6, 18, tzinfo=UTC)) != first
    assert authorised(wire(temperature=0.5), url, KEY, AT) != first


def test_without_a_region_of_its_own_the_address_tells_it() -> None:
    headers = authorised(Wire("/x", b""), "https://bedrock-runtime.us-west-2.amazonaws.com/x", KEY, AT)

    assert "/us-west-2/bedrock/" in headers["authorization"]


def test_without_credentials_there_are_none() -> None:
    assert "authorization" not in authorised(wire(), "http://x.invalid", None, AT)


# --- messages -------------------------------------------------------------------------------------------------------


def test_instructions_leave_the_conversation_wherever_they_stood() -> None:
    found = sent(messages=[{"role": "system", "content": "Be kind."}, USER, {"role": "developer", "content": "Brief."}])

    assert found["system"] == [{"text": "Be kind."}, {"text": "Brief."}]
    assert found["messages"] == [{"role": "user", "content": [{"text": "x"}]}]


def test_roles_take_turns() -> None:
    found = sent(
        tools=[TOOL],
        messages=[
            USER,
            {"role": "user", "content": "y"},
            {"role": "assistant", "content": "I look.", "tool_calls": [CALL, {**CALL, "id": "call_2"}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "found"},
            {"role": "tool", "tool_call_id": "call_2", "content": "", "is_error": True},
            {"role": "user", "content": "And?"},
        ],
    )["messages"]

    assert found == [
        {"role": "user", "content": [{"text": "x"}, {"text": "y"}]},
        {
            "role": "assistant",
            "content": [
                {"text": "I look."},
                {"toolUse": {"toolUseId": "call_1", "name": "find", "input": {"id": 7}}},
                {"toolUse": {"toolUseId": "call_2", "name": "find", "input": {"id": 7}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "call_1", "content": [{"text": "found"}]}},
                {"toolResult": {"toolUseId": "call_2", "content": [], "status": "error"}},
                {"text": "And?"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("part", "converted"),
    [
        ({"type": "text", "text": "Hi"}, {"text": "Hi"}),
        (IMAGE, {"image": {"format": "png", "source": {"bytes": PNG}}}),
        (
            {"type": "image_url", "image_url": {"url": "s3://bucket/a.jpg"}},
            {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/a.jpg"}}}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"audio": {"format": "wav", "source": {"bytes": "AAAA"}}},
        ),
        (
            {
                "type": "file",
                "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "q3_report.v2.pdf"},
            },
            {"document": {"format": "pdf", "name": "q3 report v2", "source": {"bytes": "JVBERi0="}}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:text/plain,caf%C3%A9"}},
            {"document": {"format": "txt", "name": "document", "source": {"bytes": "Y2Fmw6k="}}},
        ),
    ],
)
def test_content_parts_keep_their_kind(part: dict[str, Any], converted: dict[str, Any]) -> None:
    assert content(part) == [converted]


def test_no_two_documents_have_the_same_name() -> None:
    file = {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}}

    assert [part["document"]["name"] for part in content(file, file, file)] == ["a", "a 2", "a 3"]


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "image_url", "image_url": {"url": "https://a.invalid/a.png"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AAAA"}}, "image_url.url"),
        ({"type": "file", "file": {"file_url": "https://a.invalid/a.pdf"}}, "file.file_url"),
        ({"type": "file", "file": {"file_data": "data:application/zip;base64,AAAA"}}, "file.file_data"),
        ({"type": "file", "file": {"file_id": "file-1"}}, "file.file_id"),
        ({"type": "video_url", "video_url": {"url": "x"}}, "type"),
    ],
)
def test_what_it_cannot_take_as_bytes_is_refused_by_the_part(part: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        content({"type": "text", "text": "See:"}, part)

    assert refused.value.param == f"messages[0].content[1].{param}"


def test_reasoning_returns_as_it_was_signed() -> None:
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "AAAA"},
        {"type": "thinking", "thinking": "Nobody signed this."},
    ]
    found = sent(messages=[USER, {"role": "assistant", "content": "y", "thinking_blocks": blocks}, USER])

    assert found["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "AAAA"}},
        {"text": "y"},
    ]


def test_marks_of_what_to_keep_follow_what_they_mark() -> None:
    brief, long = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
    found = sent(
        tools=[{**TOOL, "cache_control": long}],
        messages=[
            {"role": "system", "content": [{"type": "text", "text": "Be kind.", "cache_control": long}]},
            {
                "role": "user",
                "content": [{"type": "text", "text": "x", "cache_control": brief}, {"type": "text", "text": "y"}],
            },
            {"role": "user", "content": "z", "cache_control": brief},
        ],
    )

    hour, minutes = {"cachePoint": {"type": "default", "ttl": "1h"}}, {"cachePoint": {"type": "default"}}
    assert found["system"] == [{"text": "Be kind."}, hour]
    assert found["messages"][0]["content"] == [{"text": "x"}, minutes, {"text": "y"}, {"text": "z"}, minutes]
    assert found["toolConfig"]["tools"] == [SPEC, hour]


def test_a_mark_inside_a_result_follows_the_result() -> None:
    part = {"type": "text", "text": "found", "cache_control": {"type": "ephemeral"}}
    history = [USER, {"role": "assistant", "tool_calls": [CALL]}]

    found = sent(tools=[TOOL], messages=[*history, {"role": "tool", "tool_call_id": "call_1", "content": [part]}])

    assert found["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "call_1", "content": [{"text": "found"}]}},
        {"cachePoint": {"type": "default"}},
    ]


def test_an_id_that_is_too_long_is_replaced_alike_in_call_and_result() -> None:
    long_id = "call_" + "x" * 100
    found = sent(
        tools=[TOOL],
        messages=[
            USER,
            {"role": "assistant", "tool_calls": [{**CALL, "id": long_id}]},
            {"role": "tool", "tool_call_id": long_id, "content": "y"},
        ],
    )["messages"]

    called, returned = found[1]["content"][0]["toolUse"], found[2]["content"][0]["toolResult"]
    assert called["toolUseId"] == returned["toolUseId"]
    assert len(called["toolUseId"]) <= 64


# --- tools ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "converted"),
    [
        (None, {"tools": [SPEC]}),
        ("auto", {"tools": [SPEC]}),
        ("none", None),
        ("required", {"tools": [SPEC], "toolChoice": {"any": {}}}),
        (
            {"type": "function", "function": {"name": "find"}},
            {"tools": [SPEC], "toolChoice": {"tool": {"name": "find"}}},
        ),
    ],
)
def test_a_tool_choice_keeps_its_sense(choice: Any, converted: Any) -> None:
    assert sent(tools=[TOOL], tool_choice=choice).get("toolConfig") == converted


def test_tools_that_are_not_allowed_are_not_offered() -> None:
    other = {"type": "function", "function": {"name": "other"}}
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "other"}}]}

    found = sent(tools=[TOOL, other], tool_choice={"type": "allowed_tools", "allowed_tools": allowed})["toolConfig"]

    empty = {"json": {"type": "object", "properties": {}}}
    assert found["tools"] == [{"toolSpec": {"name": "other", "inputSchema": empty}}]


def test_strictness_is_kept() -> None:
    strict = {"type": "function", "function": {**TOOL["function"], "strict": True}}  # type: ignore[dict-item]

    assert sent(tools=[strict])["toolConfig"]["tools"][0]["toolSpec"]["strict"] is True


@pytest.mark.parametrize(
    ("choice", "native"),
    [
        ("auto", {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", {"type": "any", "disable_parallel_tool_use": True}),
        (
            {"type": "function", "function": {"name": "find"}},
            {"type": "tool", "name": "find", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_one_call_at_a_time_is_said_to_claude_in_its_own_words_and_only_there(choice: Any, native: Any) -> None:
    fields = {"tools": [TOOL], "tool_choice": choice, "parallel_tool_calls": False}

    assert extra(**fields) == {"tool_choice": native}
    assert "toolChoice" not in sent(**fields)["toolConfig"]
    with pytest.raises(RequestInvalid) as refused:
        wire(LLAMA, **fields)
    assert refused.value.param == "parallel_tool_calls"


def test_no_more_calls_after_calls_keeps_the_tools_that_the_history_needs() -> None:
    history = [
        USER,
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "y"},
    ]
    fields: dict[str, Any] = {"messages": history, "tools": [TOOL], "tool_choice": "none"}

    assert sent(**fields)["toolConfig"] == {"tools": [SPEC]}
    assert extra(**fields) == {"tool_choice": {"type": "none"}}
    with pytest.raises(RequestInvalid) as refused:
        wire(LLAMA, **fields)
    assert refused.value.param == "tool_choice"


@pytest.mark.parametrize("model", [CLAUDE, NOVA, LLAMA])
@pytest.mark.parametrize("more", [{}, {"parallel_tool_calls": False}])
def test_tools_that_must_not_be_called_are_left_out_with_all_that_is_said_of_them(
    model: str, more: dict[str, Any]
) -> None:
    without = sent(model)

    assert sent(model, tools=[TOOL], tool_choice="none", **more) == without


# --- how to answer --------------------------------------------------------------------------------------------------


def test_every_setting_has_its_name_there() -> None:
    sampling = {"temperature": 0.5, "top_p": 0.9, "top_k": 40}
    found = sent(OLDER_CLAUDE, **sampling, stop=["END"], max_tokens=99, metadata={"case": "faq"}, service_tier="flex")

    assert found["inferenceConfig"] == {"temperature": 0.5, "topP": 0.9, "stopSequences": ["END"], "maxTokens": 99}
    assert found["additionalModelRequestFields"] == {"top_k": 40}
    assert found["additionalModelResponseFieldPaths"] == ["/stop_sequence"]
    assert found["requestMetadata"] == {"case": "faq"}
    assert found["serviceTier"] == {"type": "flex"}
    assert extra(NOVA, top_k=40) == {"inferenceConfig": {"topK": 40}}


def test_of_what_a_claude_does_not_take_together_one_is_left_out_and_told() -> None:
    both = wire(CLAUDE, temperature=0.5, top_p=0.9)

    assert json.loads(both.body)["inferenceConfig"] == {"temperature": 0.5}
    assert both.dropped == ("top_p",)
    assert sent(CLAUDE, temperature=1, top_p=0.9)["inferenceConfig"] == {"topP": 0.9}
    assert sent(NOVA, temperature=0.5, top_p=0.9)["inferenceConfig"] == {"temperature": 0.5, "topP": 0.9}


def test_a_claude_that_thinks_or_samples_as_it_likes_is_not_told_how_to() -> None:
    newest = wire(NEWEST_CLAUDE, temperature=0.5, top_k=40)
    thinking = wire(OLDER_CLAUDE, temperature=0.5, top_k=40, thinking={"type": "enabled", "budget_tokens": 2048})

    for found in (newest, thinking):
        body = json.loads(found.body)
        assert "temperature" not in body.get("inferenceConfig", {})
        assert "top_k" not in body.get("additionalModelRequestFields", {})
        assert found.dropped == ("temperature", "top_k")


def test_a_temperature_that_no_claude_takes_is_refused_by_name() -> None:
    with pytest.raises(RequestInvalid, match="temperature"):
        sent(CLAUDE, temperature=1.5)


def test_a_limit_that_the_gateway_sets_replaces_the_clients() -> None:
    assert sent(limit=50, max_tokens=99)["inferenceConfig"] == {"maxTokens": 50}
    assert "inferenceConfig" not in sent()


def test_a_json_schema_is_a_text_there() -> None:
    form = {"name": "verdict", "description": "d", "strict": True, "schema": {"type": "object"}}

    found = sent(response_format={"type": "json_schema", "json_schema": form})["outputConfig"]["textFormat"]

    schema = {"schema": '{"type":"object"}', "name": "verdict", "description": "d"}
    assert found == {"type": "json_schema", "structure": {"jsonSchema": schema}}


@pytest.mark.parametrize(
    ("model", "fields", "extras", "effort"),
    [
        (CLAUDE, {"reasoning_effort": "low"}, {"thinking": {"type": "enabled", "budget_tokens": 2048}}, None),
        (
            CLAUDE,
            {"reasoning_effort": "high", "max_tokens": 5000},
            {"thinking": {"type": "enabled", "budget_tokens": 2500}},
            None,
        ),
        (CLAUDE, {"reasoning_effort": "none"}, None, None),
        (NEWEST, {"reasoning_effort": "xhigh"}, {"thinking": {"type": "adaptive"}}, "xhigh"),
        (
            CLAUDE,
            {"thinking": {"type": "enabled", "budget_tokens": 1500}},
            {"thinking": {"type": "enabled", "budget_tokens": 1500}},
            None,
        ),
        (CLAUDE, {"thinking": {"type": "disabled"}}, {"thinking": {"type": "disabled"}}, None),
        (
            NOVA,
            {"reasoning_effort": "medium"},
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}},
            None,
        ),
        ("openai.gpt-oss-120b-1:0", {"reasoning_effort": "low"}, {"reasoning_effort": "low"}, None),
    ],
)
def test_reasoning_is_asked_for_in_the_models_own_words(
    model: str, fields: dict[str, Any], extras: Any, effort: str | None
) -> None:
    found = sent(model, **fields)

    assert found.get("additionalModelRequestFields") == extras
    assert found.get("outputConfig") == (effort and {"effort": effort})


# --- told and refused -----------------------------------------------------------------------------------------------


def test_what_is_harmless_is_left_out_and_told() -> None:
    called = {**CALL, "extra_content": {"google": {"thought_signature": "c2ln"}}}
    found = wire(
        "anthropic.claude-3-5-haiku-20241022-v1:0",
        user="u1",
        metadata={"much": "x" * 300},
        service_tier="scale",
        reasoning_effort="low",
        tools=[TOOL],
        messages=[
            {
                "role": "user",
                "name": "ada",
                "content": [
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}}
                ],
            },
            {"role": "assistant", "content": "y", "reasoning_content": "Unsigned.", "tool_calls": [called]},
            {"role": "tool", "tool_call_id": "call_1", "content": "z"},
        ],
    )

    assert set(found.dropped) == {
        "user", "metadata", "service_tier", "reasoning_effort", "messages[].name", "messages[].reasoning_content",
        "messages[].content[].image_url.detail", "messages[].tool_calls[].extra_content",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"future_field": 1}, "future_field"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"tools": [{"type": "custom"}]}, "tools[0].type"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
         "tool_choice"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages[0].content"),
        ({"messages": [USER, {"role": "tool", "content": "x"}]}, "messages[1].tool_call_id"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}]}, "tools"),
        ({"messages": [USER, {"role": "assistant", "function_call": {"name": "f"}}]}, "messages[1].function_call"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "c", "type": "function"}]}]},
         "messages[1].tool_calls[0].function"),
    ],
)  # fmt: skip
def test_what_has_no_form_there_is_refused_by_its_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        wire(**fields)

    assert refused.value.param == param


@pytest.mark.parametrize("model", [NOVA, LLAMA])
def test_a_thinking_budget_has_no_form_where_only_claude_takes_one(model: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        wire(model, thinking={"type": "enabled", "budget_tokens": 2000})

    assert refused.value.param == "thinking"


# --- properties -----------------------------------------------------------------------------------------------------


def read_back(body: dict[str, Any]) -> list[Any]:
    """What a Converse request says, in the words of `told`."""
    rest: list[Any] = []
    for message in body["messages"]:
        for block in message["content"]:
            match block:
                case {"text": text}:
                    rest.append((message["role"], text))
                case {"image": _}:
                    rest.append((message["role"], "picture"))
                case {"toolUse": call}:
                    rest.append(("calls", call["toolUseId"], call["name"], call["input"]))
                case {"toolResult": result}:
                    rest.append(("returns", result["toolUseId"], result["content"][0]["text"]))
    return [[block["text"] for block in body.get("system", [])], *rest]


@quick
@given(conversations(), SCALARS)
def test_a_conversation_there_and_back_says_the_same(messages: list[dict[str, Any]], scalars: dict[str, Any]) -> None:
    body = sent(OLDER_CLAUDE, messages=messages, tools=declared(messages), **scalars)

    assert read_back(body) == told(messages)
    roles = [message["role"] for message in body["messages"]]
    assert roles[0] == "user"
    assert all(one != next_ for one, next_ in pairwise(roles))
    names = {"temperature": "temperature", "top_p": "topP", "max_tokens": "maxTokens"}
    given = {names[name]: value for name, value in scalars.items() if name in names}
    stop = scalars.get("stop")
    if stop:
        given["stopSequences"] = [stop] if isinstance(stop, str) else stop
    assert body.get("inferenceConfig", {}) == given
    assert body.get("additionalModelRequestFields", {}).get("top_k") == scalars.get("top_k")


field_names = st.sampled_from("type text function name arguments url image_url file thinking mode id signature".split())
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(field_names, inner, max_size=3),
    max_leaves=6,
)
odd_messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool", "system"]), "content": st.text(max_size=3)},
        optional=dict.fromkeys(
            ["tool_calls", "tool_call_id", "reasoning_content", "thinking_blocks", "cache_control", "refusal"], odd
        ),
    ),
    min_size=1,
    max_size=3,
)
odd_fields = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(["tool_choice", "stop", "thinking", "reasoning_effort", "service_tier", "modalities"], odd),
)


@quick
@given(odd_messages, odd_fields, st.sampled_from([CLAUDE, NEWEST, NOVA, LLAMA]))
def test_any_request_is_converted_or_refused(
    messages: list[dict[str, Any]], fields: dict[str, Any], model: str
) -> None:
    with suppress(RequestInvalid):
        assert sent(model, messages=messages, **fields)["messages"]
