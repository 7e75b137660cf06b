"""What reading OpenAI answers promises: typed errors, disjoint counts, and two forms of an answer that say the same."""

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from router.errors import UpstreamError, UpstreamMalformed, UpstreamRejected
from router.protocols.openai import (
    DONE,
    body_from_chunks,
    body_from_events,
    chunks_from_body,
    event_from_body,
    event_from_chunk,
    parse_block,
    parse_body,
    parse_error,
    parse_usage,
    plain_answer,
    retry_after_s,
)
from router.sse import data_block
from router.usage import Usage
from tests.router.samples import quick

NOW_S = 1_781_000_000.0


def answer(message: dict[str, Any] | None = None, finish: str | None = "stop", **fields: Any) -> dict[str, Any]:
    """A JSON answer with one choice."""
    said = {"role": "assistant", "content": "Hi."} if message is None else message
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-5",
        "choices": [{"index": 0, "message": said, "finish_reason": finish}],
    } | fields


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **choice: Any) -> dict[str, Any]:
    """A streamed chunk with one choice, or with none where there is no delta."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish} | choice]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-5",
        "choices": choices,
    }


def block(payload: Any) -> bytes:
    return data_block(json.dumps(payload).encode())


# --- whole answers and events -----------------------------------------------------------------------------------


def test_a_whole_answer_keeps_its_bytes_and_tells_its_usage() -> None:
    raw = json.dumps(answer(usage={"prompt_tokens": 5, "completion_tokens": 2}), indent=2).encode()

    event = parse_body(raw)

    assert (event.kind, event.raw, event.is_last) == ("body", raw, True)
    assert event.usage == Usage(input=5, output=2)
    assert event.finish_reasons == ["stop"]


def test_a_chunk_keeps_its_bytes() -> None:
    raw = b"event: message\ndata: " + json.dumps(chunk({"content": "Hi"})).encode() + b"\r\n\r\n"

    event = parse_block(raw)

    assert (event.kind, event.raw, event.is_last, event.finish_reasons) == ("chunk", raw, False, [])


@pytest.mark.parametrize("raw", [DONE, b"data:[DONE]\n\n", b"data: [DONE] \r\n\r\n"])
def test_done_ends_a_stream(raw: bytes) -> None:
    event = parse_block(raw)

    assert (event.kind, event.is_last) == ("done", True)


def test_a_comment_is_no_end_and_no_data() -> None:
    event = parse_block(b": OPENROUTER PROCESSING\n\n")

    assert (event.kind, event.is_last, event.data) == ("comment", False, None)


def test_only_a_chunk_with_usage_and_without_choices_is_the_extra_one() -> None:
    usage = {"usage": {"prompt_tokens": 5, "completion_tokens": 2}}

    assert parse_block(block(chunk() | usage)).is_usage_only
    assert not parse_block(block(chunk({"content": "x"}) | usage)).is_usage_only
    assert not parse_block(block(chunk())).is_usage_only
    assert not parse_block(block(chunk() | {"usage": None})).is_usage_only


def test_the_bytes_that_a_model_wrote_are_counted_whatever_it_wrote() -> None:
    call = {"index": 0, "id": "call_12345", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}

    assert parse_block(block(chunk({"role": "assistant", "content": "é"}))).text_bytes == 2
    assert parse_block(block(chunk({"tool_calls": [call]}))).text_bytes == len('f{"a":1}')
    assert parse_block(block(chunk({"reasoning_content": "hm"}))).text_bytes == 2
    assert parse_body(json.dumps(answer()).encode()).text_bytes == 3


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"5",
        b'"x"',
        b'{"choices": [',
        b"\xff",
        b'{"choices": "\xe2\x82"}',
        b'{"choices": null, "error": null, "x": "\\ud800"}',
        b'{"choices": {}}',
        b'{"choices": ["x"]}',
        b'{"choices": [{"index": "0"}]}',
        b'{"choices": [{"index": [0]}]}',
        b'{"choices": [{"index": 0, "delta": "x"}]}',
        b'{"choices": [{"index": 0, "message": ["x"]}]}',
        b'{"choices": [{"index": 0, "delta": {"tool_calls": {}}}]}',
        b'{"choices": [{"index": 0, "message": {"tool_calls": ["x"]}}]}',
        b'{"choices": [{"index": 0, "finish_reason": 5}]}',
        b"[" * 100_000,
    ],
    ids=lambda payload: repr(payload[:50]),
)
def test_an_answer_against_the_protocol_is_malformed_and_perhaps_billed(payload: bytes) -> None:
    for parse, raw in ((parse_body, payload), (parse_block, data_block(payload))):
        with pytest.raises(UpstreamMalformed) as failed:
            parse(raw)
        assert (failed.value.retryable, failed.value.billed) == (True, "unknown")


@pytest.mark.parametrize("payload", [{}, {"choices": None}, {"choices": []}])
def test_a_whole_answer_needs_a_choice_and_a_chunk_does_not(payload: dict[str, Any]) -> None:
    with pytest.raises(UpstreamMalformed):
        parse_body(json.dumps(payload).encode())
    assert parse_block(block(payload)).kind == "chunk"


@pytest.mark.parametrize("error", [{"message": "Overloaded", "code": "overloaded"}, "Overloaded", ["odd"], 5])
def test_an_error_that_comes_as_a_success_is_a_rejection(error: Any) -> None:
    for parse, raw in ((parse_body, json.dumps({"error": error}).encode()), (parse_block, block({"error": error}))):
        with pytest.raises(UpstreamRejected) as failed:
            parse(raw)
        assert (failed.value.status, failed.value.retryable) == (200, True)


words = st.sampled_from(
    ["choices", "index", "delta", "message", "finish_reason", "tool_calls", "function", "usage", "content", "refusal",
     "prompt_tokens", "completion_tokens", "prompt_tokens_details", "cached_tokens", "error", "code", "logprobs", "id"]
)  # fmt: skip
odd_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
odd_choice = st.fixed_dictionaries(
    {},
    optional={"index": odd_json | st.integers(0, 2), "delta": odd_json, "message": odd_json, "finish_reason": odd_json},
)
odd_answers = odd_json | st.fixed_dictionaries(
    {"choices": odd_json | st.lists(odd_choice, max_size=3)}, optional={"usage": odd_json, "error": odd_json}
)


@quick
@given(odd_answers.map(lambda payload: json.dumps(payload).encode()) | st.binary(max_size=60))
@example(b'{"choices": [{"delta": null}]}')
@example(b'{"choices": [{"message": null}]}')
@example(b'{"choices": [{"index": null}, {"index": 1}]}')
@example(b'{"choices": [{}], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": [1]}}')
def test_any_answer_is_understood_or_refused_in_our_own_words(payload: bytes) -> None:
    for parse, raw in ((parse_body, payload), (parse_block, data_block(payload)), (parse_block, payload)):
        try:
            event = parse(raw)
        except UpstreamError:
            continue
        whole = body_from_events([event])
        assert event.text_bytes >= 0
        assert isinstance(event.finish_reasons, list)
        assert plain_answer(whole) is None or isinstance(plain_answer(whole), str)
        assert list(chunks_from_body(whole, wants_usage=True))


# --- usage ------------------------------------------------------------------------------------------------------


def test_cached_written_and_reasoning_tokens_are_taken_out_of_the_totals() -> None:
    payload = {
        "prompt_tokens": 2_006,
        "completion_tokens": 300,
        "total_tokens": 2_306,
        "prompt_tokens_details": {"cached_tokens": 1_920, "cache_write_tokens": 50, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 128, "accepted_prediction_tokens": 0},
    }

    assert parse_usage(payload) == Usage(input=36, cache_read=1_920, cache_write_5m=50, output=300, reasoning=128)


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        [],
        "5",
        {"prompt_tokens": 5},
        {"prompt_tokens": "5", "completion_tokens": 2},
        {"prompt_tokens": 5.0, "completion_tokens": 2},
        {"prompt_tokens": True, "completion_tokens": 2},
        {"prompt_tokens": -5, "completion_tokens": 2},
        {"prompt_tokens": 5, "completion_tokens": 2**40},
        {"prompt_tokens": 5, "completion_tokens": None},
    ],
)
def test_counts_that_are_none_are_no_usage(payload: Any) -> None:
    assert parse_usage(payload) is None


counts = st.integers(0, 5_000) | st.integers() | odd_json
details = odd_json | st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["cached_tokens", "cache_write_tokens", "reasoning_tokens"], counts)
)


@quick
@given(
    st.fixed_dictionaries(
        {"prompt_tokens": counts, "completion_tokens": counts},
        optional={"prompt_tokens_details": details, "completion_tokens_details": details},
    )
)
def test_buckets_are_disjoint_and_never_negative_whatever_the_provider_says(payload: dict[str, Any]) -> None:
    usage = parse_usage(payload)

    if usage is not None:
        assert usage.all_input == payload["prompt_tokens"]
        assert usage.output == payload["completion_tokens"]
        assert min(usage.input, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h) >= 0
        assert 0 <= usage.reasoning <= usage.output


# --- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (301, True),
        (400, False),
        (401, True),
        (402, True),
        (403, True),
        (404, False),
        (408, True),
        (409, True),
        (413, False),
        (422, False),
        (425, True),
        (429, True),
        (500, True),
        (502, True),
        (503, True),
        (504, True),
        (529, True),
    ],
)
def test_an_error_status_says_whether_another_attempt_may_help_and_was_not_billed(status: int, retryable: bool) -> None:
    error = parse_error(status, {}, b"", NOW_S)

    assert (error.status, error.retryable, error.billed) == (status, retryable, "no")


def test_what_the_provider_says_of_the_callers_request_is_kept() -> None:
    said = {"message": "Unknown parameter: 'x'.", "type": "invalid_request_error", "param": "x", "code": "unknown"}

    error = parse_error(400, {}, json.dumps({"error": said}).encode(), NOW_S)

    assert (str(error), error.error_type, error.param, error.code) == tuple(said.values())


@pytest.mark.parametrize("status", [200, 302, 401, 403, 429, 500, 503])
def test_what_the_provider_says_of_our_key_and_account_is_not(status: int) -> None:
    said = {"error": {"message": "Incorrect API key provided: sk-secret. Organisation org-1, host 10.0.0.1."}}

    error = parse_error(status, {}, json.dumps(said).encode(), NOW_S)

    assert str(error) == f"The provider answered with an error (status {status})."


@pytest.mark.parametrize(
    "raw", [b"", b"<html>Bad gateway</html>", b"null", b"[1]", b'{"error": 5}', b'{"error": {"message": 5}}', b"\xff"]
)
def test_an_error_without_a_proper_body_is_still_an_error(raw: bytes) -> None:
    assert str(parse_error(400, {}, raw, NOW_S)) == "The provider answered with an error (status 400)."


@quick
@given(
    st.integers(300, 599), st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.text()), st.binary()
)
def test_any_error_is_read_without_another_one(status: int, headers: dict[str, str], raw: bytes) -> None:
    error = parse_error(status, headers, raw, NOW_S)

    assert error.status == status
    assert error.retry_after_s is None or (error.retry_after_s >= 0 and math.isfinite(error.retry_after_s))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Tue, 09 Jun 2026 10:13:25 GMT"}, 5.0),
        ({"retry-after": "Tue, 09 Jun 2026 10:13:25 -0000"}, 5.0),
        ({"retry-after": "Tue, 09 Jun 2026 12:13:25 +0200"}, 5.0),
        ({"retry-after": "Tue, 09 Jun 2026 10:13:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e400"}, None),
        ({"retry-after": "Tue, 09 Jun 99999 10:13:25 GMT"}, None),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, NOW_S) == seconds


# --- two forms of an answer ------------------------------------------------------------------------------------------

calls = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.text(min_size=1, max_size=6),
            "type": st.just("function"),
            "function": st.fixed_dictionaries({"name": st.text(max_size=6), "arguments": st.text(max_size=20)}),
        }
    ),
    max_size=3,
)
token = st.fixed_dictionaries(
    {
        "token": st.text(max_size=4),
        "logprob": st.floats(-9, 0),
        "bytes": st.none() | st.lists(st.integers(0, 255)),
        "top_logprobs": st.just([]),
    }
)
logprobs = st.none() | st.fixed_dictionaries(
    {"content": st.none() | st.lists(token, max_size=3), "refusal": st.none() | st.lists(token, max_size=2)}
)
messages = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | st.text(max_size=20)},
    optional={
        "refusal": st.none() | st.text(max_size=9),
        "tool_calls": calls,
        "reasoning_content": st.text(max_size=9),
        "annotations": st.lists(st.dictionaries(st.sampled_from(["type", "title"]), st.text(max_size=5)), max_size=2),
        "audio": st.fixed_dictionaries(
            {"id": st.text(max_size=5), "data": st.text(max_size=9), "expires_at": st.integers()}
        ),
    },
)
answers = st.builds(
    lambda said, optional: answer(
        choices=[
            {"index": at, "message": message, "finish_reason": finish} | rest
            for at, (message, finish, rest) in enumerate(said)
        ],
        **optional,
    ),
    st.lists(
        st.tuples(
            messages,
            st.sampled_from(["stop", "length", "tool_calls", "content_filter", None]),
            st.fixed_dictionaries({}, optional={"logprobs": logprobs}),
        ),
        min_size=1,
        max_size=3,
    ),
    st.fixed_dictionaries(
        {
            "usage": st.fixed_dictionaries(
                dict.fromkeys(["prompt_tokens", "completion_tokens", "total_tokens"], st.integers(0, 9))
            )
        },
        optional={
            "system_fingerprint": st.none() | st.text(max_size=5),
            "service_tier": st.none() | st.just("default"),
        },
    ),
)


@quick
@given(answers)
def test_an_answer_that_is_streamed_and_collected_is_the_same_answer(body: dict[str, Any]) -> None:
    before = copy.deepcopy(body)

    assert body_from_chunks(chunks_from_body(body, wants_usage=True)) == body
    assert body == before


@quick
@given(answers)
def test_the_chunks_of_an_answer_are_what_the_protocol_says(body: dict[str, Any]) -> None:
    chunks = list(chunks_from_body(body, wants_usage=True))

    for made in chunks:
        ChatCompletionChunk.model_validate(made)
        assert parse_block(event_from_chunk(made).raw).data == made
    assert chunks[-1]["choices"] == []
    assert [c["usage"] for c in chunks if "usage" in c] == [body["usage"]]


def test_what_hides_the_length_of_each_chunk_is_no_part_of_the_answer() -> None:
    chunks = [chunk({"content": "Yes."}) | {"obfuscation": "q8"}, chunk({}, "stop") | {"obfuscation": "x2f"}]

    assert "obfuscation" not in body_from_chunks(chunks)


def test_usage_is_streamed_only_to_who_asked_for_it() -> None:
    body = answer(usage={"prompt_tokens": 5, "completion_tokens": 2})

    assert not any("usage" in made for made in chunks_from_body(body, wants_usage=False))


def sdk_body(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """What the official SDK makes of these chunks."""
    state = ChatCompletionStreamState()
    for each in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(copy.deepcopy(each)))
    return state.current_completion_snapshot.to_dict()


def said(value: Any) -> Any:
    """Without nulls and the fields that the SDK adds for itself."""
    if isinstance(value, dict):
        own = ("parsed", "parsed_arguments")
        return {name: said(item) for name, item in value.items() if item is not None and name not in own}
    return [said(item) for item in value] if isinstance(value, list) else value


def without_indices(body: dict[str, Any]) -> dict[str, Any]:
    for choice in body["choices"]:
        for call in choice["message"].get("tool_calls") or ():
            call.pop("index", None)
    return body


def call_fragment(index: int, arguments: str, **first: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": first.pop("name")} if "name" in first else {})}
    return {"index": index, "function": function, **first}


STREAMS: dict[str, list[dict[str, Any]]] = {
    "text": [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo 🙂"}),
        chunk({}, "stop"),
        chunk() | {"usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}},
    ],
    "tool calls in fragments": [
        chunk({"role": "assistant", "content": None}),
        chunk({"tool_calls": [call_fragment(0, "", id="call_a", type="function", name="lookup")]}),
        chunk({"tool_calls": [call_fragment(0, '{"ci')]}),
        chunk({"tool_calls": [call_fragment(1, "", id="call_b", type="function", name="time")]}),
        chunk({"tool_calls": [call_fragment(0, 'ty": "Bern"}'), call_fragment(1, "{}")]}),
        chunk({}, "tool_calls"),
    ],
    "both calls in one chunk": [
        chunk(
            {
                "role": "assistant",
                "tool_calls": [
                    call_fragment(0, "{}", id="call_a", type="function", name="f"),
                    call_fragment(1, "[]", id="call_b", type="function", name="g"),
                ],
            }
        ),
        chunk({}, "tool_calls"),
    ],
    "refusal": [
        chunk({"role": "assistant", "content": None, "refusal": ""}),
        chunk({"refusal": "I can"}),
        chunk({"refusal": "not."}),
        chunk({}, "stop"),
    ],
    "log probabilities": [
        chunk({"role": "assistant", "content": "", "refusal": None}, logprobs=None),
        chunk(
            {"content": "a"}, logprobs={"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]}
        ),
        chunk(
            {"content": "b"}, logprobs={"content": [{"token": "b", "logprob": -1.5, "bytes": [98], "top_logprobs": []}]}
        ),
        chunk({}, "stop", logprobs=None),
    ],
    "two choices that take turns": [
        chunk({"role": "assistant", "content": "A"}),
        chunk({"role": "assistant", "content": "B"}, index=1),
        chunk({"content": "a"}),
        chunk({"content": "b"}, index=1),
        chunk({}, "length", index=1),
        chunk({}, "stop"),
    ],
}


@pytest.mark.parametrize("chunks", STREAMS.values(), ids=STREAMS.keys())
def test_chunks_add_up_to_what_the_official_sdk_makes_of_them(chunks: list[dict[str, Any]]) -> None:
    ours = body_from_chunks(copy.deepcopy(chunks))

    assert said(without_indices(ours)) == said(without_indices(sdk_body(chunks)))
    ChatCompletion.model_validate(ours)


def test_tool_calls_lose_the_index_that_only_streams_have() -> None:
    body = body_from_chunks(STREAMS["tool calls in fragments"])

    assert body["choices"][0]["message"]["tool_calls"] == [
        {"id": "call_a", "type": "function", "function": {"name": "lookup", "arguments": '{"city": "Bern"}'}},
        {"id": "call_b", "type": "function", "function": {"name": "time", "arguments": "{}"}},
    ]


def test_a_name_that_every_fragment_repeats_is_said_once() -> None:
    repeated = [
        chunk(
            {"role": "assistant", "tool_calls": [call_fragment(0, part, id="call_a", type="function", name="lookup")]}
        )
        for part in ('{"a"', ": 1}")
    ]

    (call,) = body_from_chunks(repeated)["choices"][0]["message"]["tool_calls"]
    assert call == {"id": "call_a", "type": "function", "function": {"name": "lookup", "arguments": '{"a": 1}'}}


def test_collecting_chunks_leaves_them_as_they_were() -> None:
    chunks = copy.deepcopy(STREAMS["tool calls in fragments"])

    first = body_from_chunks(chunks)

    assert chunks == STREAMS["tool calls in fragments"]
    assert body_from_chunks(chunks) == first


def test_choices_come_in_the_order_of_their_index() -> None:
    body = body_from_chunks([chunk({"content": "b"}, "stop", index=1), chunk({"content": "a"}, "stop")])

    assert [choice["message"]["content"] for choice in body["choices"]] == ["a", "b"]


def test_a_later_null_does_not_erase_what_was_said() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2}

    body = body_from_chunks(
        [chunk({"content": "Hi"}) | {"usage": usage}, chunk({"content": None}, "stop") | {"usage": None}]
    )

    assert body["choices"][0]["message"]["content"] == "Hi"
    assert body["usage"] == usage


def test_events_of_either_form_give_the_answer() -> None:
    body = answer(usage={"prompt_tokens": 5, "completion_tokens": 2})

    def stream() -> Iterator[Any]:
        yield parse_block(b": hello\n\n")
        yield from (event_from_chunk(made) for made in chunks_from_body(body, wants_usage=True))
        yield parse_block(DONE)

    assert body_from_events(stream()) == body
    assert body_from_events([event_from_body(body)]) == body
    assert msgspec.json.decode(event_from_body(body).raw) == body
    assert event_from_body(body).usage == Usage(input=5, output=2)


# --- what may be kept ----------------------------------------------------------------------------------------------


def test_the_text_of_a_plain_answer_is_given() -> None:
    assert plain_answer(answer({"role": "assistant", "content": " Hi. ", "refusal": None, "tool_calls": []})) == " Hi. "


@pytest.mark.parametrize(
    "body",
    [
        answer(finish="length"),
        answer(finish="content_filter"),
        answer(finish=None),
        answer({"content": ""}),
        answer({"content": " \n"}),
        answer({"content": None}),
        answer({"content": [{"type": "text", "text": "Hi"}]}),
        answer({"content": "Hi", "refusal": "No."}),
        answer({"content": "Hi", "tool_calls": [{"id": "call_a"}]}),
        answer({"content": "Hi", "function_call": {"name": "f"}}),
        answer({"content": "Hi", "audio": {"id": "a"}}),
        answer(choices=[]),
        answer(choices=answer()["choices"] * 2),
        answer(choices=[{"index": 0, "message": None, "finish_reason": "stop"}]),
    ],
)
def test_an_answer_that_is_more_or_less_than_finished_text_is_not_plain(body: dict[str, Any]) -> None:
    assert plain_answer(body) is None
