"""What decoding and encoding OpenAI requests promises: a bad field is named, and what was checked is what is sent."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai import OpenAI
from pydantic import BaseModel

from router.catalogue import Deployment, Provider
from router.chat import ChatRequest
from router.errors import RequestInvalid
from router.prices import Priced
from router.protocols.openai import authorised, encode
from router.protocols.wire import Wire
from router.surfaces import openai as surface
from router.surfaces import responses
from tests.router.samples import quick, request

WIRE = Wire("/chat/completions", b"")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
USER = {"role": "user", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object", "properties": {}}}}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "gpt-5", "messages": [USER]} | fields).encode()


def decoded(raw: bytes) -> ChatRequest:
    return surface.decode_request(raw, {})


def upstream_bytes(asked: ChatRequest, limit: int | None = None, limit_field: str = "max_completion_tokens") -> bytes:
    provider = Provider("here", "http://here.invalid/v1", limit_field=limit_field)
    return encode(asked, Deployment("here/m", provider, "upstream-model", Priced("here", "m")), limit).body


def sent(asked: ChatRequest, limit: int | None = None, limit_field: str = "max_completion_tokens") -> dict[str, Any]:
    """What the upstream gets."""
    found: dict[str, Any] = json.loads(upstream_bytes(asked, limit, limit_field))
    return found


# --- what the official SDK sends ----------------------------------------------------------------------------------


def sdk_body(call: Callable[[OpenAI], object]) -> bytes:
    """The body that the official SDK makes of this call."""
    taken: list[bytes] = []

    def take(seen: httpx.Request) -> httpx.Response:
        taken.append(seen.content)
        return httpx.Response(400, json={"error": {"message": "taken"}})

    with httpx.Client(transport=httpx.MockTransport(take)) as http:
        sdk = OpenAI(api_key="sk-test", base_url="http://gateway.invalid/v1", http_client=http, max_retries=0)
        with pytest.raises(Exception, match="taken"):
            call(sdk)
    return taken[0]


class Verdict(BaseModel):
    is_fine: bool


SDK_CALLS: dict[str, Callable[[OpenAI], object]] = {
    "text": lambda sdk: sdk.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "Hello"}]),
    "every role": lambda sdk: sdk.chat.completions.create(
        model="gpt-5",
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": "What is the time?", "name": "ada"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "time", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "12:00"},
            {"role": "assistant", "refusal": "I cannot."},
            {"role": "user", "content": "Why?"},
        ],
    ),
    "parts": lambda sdk: sdk.chat.completions.create(
        model="gpt-5",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                ],
            }
        ],
    ),
    "stream": lambda sdk: sdk.chat.completions.create(
        model="gpt-5",
        messages=[{"role": "user", "content": "Hello"}],
        stream=True,
        stream_options={"include_usage": True},
    ),
    "every setting": lambda sdk: sdk.chat.completions.create(
        model="gpt-5",
        messages=[{"role": "user", "content": "Hello"}],
        n=2,
        temperature=0,
        top_p=1,
        max_completion_tokens=100,
        stop=["\n", "END"],
        user="u1",
        metadata={"case": "faq"},
        seed=7,
        logit_bias={"50256": -100},
        logprobs=True,
        top_logprobs=3,
        presence_penalty=0.5,
        reasoning_effort="low",
        service_tier="flex",
        store=False,
        extra_body={"vendor_field": {"deep": [1, 2.5, None]}},
    ),
    "nulls": lambda sdk: sdk.chat.completions.create(
        model="gpt-5",
        messages=[{"role": "user", "content": "Hello"}],
        n=None,
        max_tokens=None,
        stop=None,
        stream=None,
        temperature=None,
    ),
    "tools": lambda sdk: sdk.chat.completions.create(
        model="gpt-5",
        messages=[{"role": "user", "content": "Hello"}],
        tools=[TOOL],
        tool_choice={"type": "function", "function": {"name": "lookup"}},
        parallel_tool_calls=False,
    ),
    "structured output": lambda sdk: sdk.chat.completions.parse(
        model="gpt-5", messages=[{"role": "user", "content": "Hello"}], response_format=Verdict
    ),
}


@pytest.mark.parametrize("call", SDK_CALLS.values(), ids=SDK_CALLS.keys())
def test_every_shape_of_the_official_sdk_is_taken_and_passed_on_unchanged(call: Callable[[OpenAI], object]) -> None:
    raw = sdk_body(call)

    asked = decoded(raw)

    edited = {"model": "upstream-model", **({"stream_options": {"include_usage": True}} if asked.stream else {})}
    assert asked.body_bytes == len(raw)
    assert sent(asked) == json.loads(raw) | edited


def test_what_the_router_needs_is_read_from_the_request() -> None:
    asked = request(
        model="gpt-5",
        stream=True,
        stream_options={"include_usage": True},
        n=3,
        max_tokens=50,
        tools=[TOOL],
        messages=[{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {}}]}],
    )

    assert (asked.model, asked.stream, asked.wants_usage, asked.choices) == ("gpt-5", True, True, 3)
    assert (asked.output_limit, asked.uses_tools, asked.modalities) == (50, True, frozenset({"image_url"}))


def test_what_was_not_asked_for_has_its_usual_value() -> None:
    asked = request(stream=None, stream_options=None, n=None, max_tokens=None, tools=[])

    assert (asked.stream, asked.wants_usage, asked.choices) == (False, False, 1)
    assert (asked.output_limit, asked.uses_tools, asked.modalities) == (None, False, frozenset())


def test_the_newer_limit_counts_before_the_older_one() -> None:
    assert request(max_tokens=9, max_completion_tokens=5).output_limit == 5


@pytest.mark.parametrize(
    ("fields", "at_most"),
    [
        ({}, None),
        ({"max_tokens": None, "max_completion_tokens": None}, None),
        ({"max_tokens": 9}, 9),
        ({"max_completion_tokens": 5}, 5),
        ({"max_tokens": 9, "max_completion_tokens": 5}, 9),
        ({"max_tokens": 5, "max_completion_tokens": 9}, 9),
    ],
)
def test_of_two_limits_the_worst_case_takes_the_larger(fields: dict[str, Any], at_most: int | None) -> None:
    assert request(**fields).output_at_most == at_most


def with_parts(*kinds: str) -> ChatRequest:
    return request(messages=[{"role": "user", "content": [{"type": kind} for kind in kinds]}])


def test_a_request_has_at_most_a_token_for_each_byte_and_some_room() -> None:
    assert request("é" * 100).input_bound(1_000) > request("é" * 100).body_bytes > 200


def test_a_picture_counts_by_its_size_and_not_by_its_address() -> None:
    plain, two = with_parts("text", "text"), with_parts("image_url", "image_url")

    assert two.input_bound(1_000) - plain.input_bound(1_000) > 2 * 3_000


@pytest.mark.parametrize("kind", ["file", "input_audio", "video_of_next_year"])
def test_what_only_refers_to_something_may_fill_the_whole_context(kind: str) -> None:
    assert with_parts("text", kind).input_bound(400_000) == 400_000
    assert with_parts("text").input_bound(400_000) < 1_000


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"model": "x" * 257}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": ["Hello"]}, "messages[0]"),
        ({"messages": [USER, {}]}, "messages[1].role"),
        ({"messages": [USER, {"role": None, "content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": {}}]}, "messages[0].content"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [USER, {"role": "user", "content": None}]}, "messages[1].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": 1}]}]}, "messages[0].content[0].type"),
        ({"n": 0}, "n"),
        ({"n": -1}, "n"),
        ({"n": 129}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": 2.0}, "n"),
        ({"n": True}, "n"),
        ({"n": "2"}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "100"}, "max_tokens"),
        ({"max_tokens": 1e3}, "max_tokens"),
        ({"max_tokens": 2**31}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"max_completion_tokens": -5}, "max_completion_tokens"),
        ({"max_completion_tokens": 2**63}, "max_completion_tokens"),
        ({"stream": "true"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": []}, "top_p"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a", 5]}, "stop[1]"),
        ({"user": 5}, "user"),
        ({"metadata": []}, "metadata"),
        ({"tools": {}}, "tools"),
        ({"tools": [TOOL, "lookup"]}, "tools[1]"),
        ({"response_format": "json"}, "response_format"),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        decoded(body(**fields))

    assert refused.value.param == param
    assert not refused.value.retryable


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_a_missing_field_is_named(missing: str) -> None:
    fields = {"model": "gpt-5", "messages": [USER]}
    del fields[missing]

    with pytest.raises(RequestInvalid) as refused:
        decoded(json.dumps(fields).encode())

    assert refused.value.param == missing
    assert f"`{missing}`" in str(refused.value)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"model=gpt-5",
        b"\xff\xfe{}",
        body() + b"{}",
        b'{"model": "\xff", "messages": []}',
        b'{"model": "gpt-5", "messages": [{"role": "user", "content": "\xe2\x82"}]}',
        b'{"model": "gpt-5", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "gpt-5", "messages": [], "x": NaN}',
        b'{"model": "gpt-5", "messages": [], "x": 1e400}',
        b"[" * 100_000,
        b'{"x": ' * 100_000,
        b'{"model": "gpt-5", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_what_is_not_json_is_refused_without_a_field(raw: bytes) -> None:
    with pytest.raises(RequestInvalid, match="The body is") as refused:
        decoded(raw)

    assert refused.value.param is None


@pytest.mark.parametrize("raw", [b"null", b"[]", b'"gpt-5"', b"5", b"true"])
def test_json_that_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(RequestInvalid, match="must be a JSON object"):
        decoded(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
some_fields = st.dictionaries(
    st.sampled_from(
        ["model", "messages", "n", "stream", "stream_options", "max_tokens", "stop", "tools", "metadata", "x"]
    ),
    json_values
    | st.just([USER])
    | st.lists(st.dictionaries(st.sampled_from(["role", "content", "type"]), json_values, max_size=3), max_size=3),
    max_size=6,
)


@quick
@given(some_fields.map(lambda fields: body(**fields)) | st.binary(max_size=60))
@example(b'{"model": "m", "messages": [{"role": "user", "content": []}]}')
def test_any_body_is_taken_or_refused_in_our_own_words(raw: bytes) -> None:
    try:
        asked = decoded(raw)
    except RequestInvalid:
        return
    assert sent(asked)["messages"] == json.loads(raw)["messages"]
    assert 1 <= asked.choices <= 128
    assert isinstance(asked.modalities, frozenset)


# --- what is sent upstream ----------------------------------------------------------------------------------------


@quick
@given(st.dictionaries(st.text(max_size=8), json_values, max_size=6))
def test_fields_that_nobody_here_knows_survive_untouched(fields: dict[str, Any]) -> None:
    unknown = {f"x_{name}": value for name, value in fields.items()}

    upstream = sent(decoded(body(**unknown)))

    assert {name: value for name, value in upstream.items() if name.startswith("x_")} == unknown


@pytest.mark.parametrize(
    "duplicates",
    [
        b'"n": 100, "n": 2',
        b'"max_tokens": "free", "max_tokens": 5',
        b'"model": 5, "model": "b"',
        b'"messages": [], "messages": [{"role": 5, "role": "system", "content": "Hello"}]',
        b'"x": {"a": 1, "a": 2}',
    ],
)
def test_of_duplicate_keys_only_the_one_that_was_checked_is_sent(duplicates: bytes) -> None:
    raw = body()[:-1] + b", " + duplicates + b"}"
    encoded = upstream_bytes(decoded(raw))

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(pairs) == len(dict(pairs))
        return dict(pairs)

    # Python's reader keeps the last of its duplicates, as ours does.
    assert json.loads(encoded, object_pairs_hook=unique) == json.loads(raw) | {"model": "upstream-model"}


def test_the_number_of_answers_that_is_reserved_for_is_the_one_that_is_sent() -> None:
    asked = decoded(body()[:-1] + b', "n": 100, "n": 2}')

    assert asked.choices == sent(asked)["n"] == 2


def test_a_duplicate_that_is_bad_is_refused() -> None:
    with pytest.raises(RequestInvalid) as refused:
        decoded(b'{"n": 2, "n": 1000, "model": "a", "messages": [{"role": "user", "content": "x"}]}')

    assert refused.value.param == "n"


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_usage": None}])
def test_a_stream_always_carries_usage(options: dict[str, Any] | None) -> None:
    asked = request(stream=True, stream_options=options)

    assert sent(asked)["stream_options"] == {"include_usage": True}
    assert not asked.wants_usage


def test_other_stream_options_stay() -> None:
    asked = request(stream=True, stream_options={"include_obfuscation": False})

    assert sent(asked)["stream_options"] == {"include_obfuscation": False, "include_usage": True}


def test_what_is_not_streamed_gets_no_stream_options() -> None:
    assert "stream_options" not in sent(request())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"the_limit": 7}),
        ({"max_tokens": 100}, {"max_tokens": 7}),
        ({"max_completion_tokens": 100}, {"max_completion_tokens": 7}),
        ({"max_tokens": 90, "max_completion_tokens": 100}, {"max_tokens": 7, "max_completion_tokens": 7}),
        ({"max_tokens": None}, {"max_tokens": None, "the_limit": 7}),
    ],
)
def test_a_limit_replaces_the_clients_where_the_client_had_put_it(
    fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    upstream = sent(request(**fields), limit=7, limit_field="the_limit")

    assert {name: value for name, value in upstream.items() if "limit" in name or "max" in name} == expected


def test_without_a_limit_of_ours_the_clients_stays() -> None:
    assert sent(request(max_tokens=100))["max_tokens"] == 100


PDF = "data:application/pdf;base64,JVBERi0="


def converted(**file: str) -> Any:
    """What the upstream gets for this file of a Responses client."""
    asked = {"model": "m", "input": [{"role": "user", "content": [{"type": "input_file", **file}]}]}
    return sent(responses.decode_request(json.dumps(asked).encode(), {}))["messages"][0]["content"][0]


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ({"file_data": PDF, "filename": "a.pdf"}, {"filename": "a.pdf", "file_data": PDF}),
        ({"file_data": PDF}, {"filename": "document.pdf", "file_data": PDF}),
        ({"file_id": "file-1"}, {"file_id": "file-1"}),
    ],
)
def test_a_pdf_is_a_file_and_its_bytes_have_a_name(file: dict[str, str], part: dict[str, str]) -> None:
    assert converted(**file) == {"type": "file", "file": part}


@pytest.mark.parametrize(
    "address", ["data:text/plain;base64,R3LDvMOfZQ==", "data:text/plain;charset=utf-8,Gr%C3%BC%C3%9Fe"]
)
def test_a_text_is_a_text_under_its_name(address: str) -> None:
    assert converted(file_data=address) == {"type": "text", "text": "Grüße"}
    assert converted(file_data=address, filename="a.txt") == {"type": "text", "text": "a.txt\n\nGrüße"}


@pytest.mark.parametrize(
    ("file", "field"),
    [
        ({"file_url": "https://x.invalid/a.pdf", "filename": "a.pdf"}, "file_url"),
        ({"file_data": "data:text/csv;base64,YSxi"}, "file_data"),
        ({"file_data": "data:application/pdf;base64,"}, "file_data"),
    ],
)
def test_a_file_that_no_chat_takes_is_refused_by_its_field(file: dict[str, str], field: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        converted(**file)

    assert refused.value.param == f"messages[0].content[0].file.{field}"


def test_a_client_of_the_same_dialect_may_send_files_that_nobody_here_knows() -> None:
    file = {"type": "file", "file": {"file_url": "https://x.invalid/a.pdf", "novel": 1}}
    messages = [{"role": "user", "content": [file]}]

    assert sent(request(messages=messages))["messages"] == messages


def test_encoding_leaves_the_request_as_it_was() -> None:
    asked = request(stream=True, stream_options={"include_usage": False}, max_tokens=100)
    before = json.dumps(asked.mapping)

    sent(asked, limit=7)

    assert json.dumps(asked.mapping) == before


def test_the_upstreams_answer_is_to_come_uncompressed_and_with_our_key() -> None:
    assert authorised(WIRE, "", "sk-1", NOW) == {
        "content-type": "application/json",
        "accept-encoding": "identity",
        "authorization": "Bearer sk-1",
    }
    assert "authorization" not in authorised(WIRE, "", None, NOW)
