"""What Bedrock's answers become: nothing lost, nothing half called whole, every token in its bucket."""

import json
import struct
from binascii import crc32
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.errors import UpstreamCut, UpstreamError, UpstreamMalformed, UpstreamRejected
from router.prices import Priced, cost_nano
from router.protocols.bedrock import Reader, parse_body, parse_error
from router.protocols.bedrock_answers import parse_usage
from router.usage import Usage
from tests.router.aws_events import (
    begin_call,
    block_stop,
    delta,
    error,
    event,
    exception,
    message,
    metadata,
    start,
    stop,
    text,
)
from tests.router.samples import quick
from tests.router.streams import body_of, cuts, events_of, pieces

NOW_S = 1_781_000_000.0
UNICODE = "é\u2028你\u0085🙂"
STREAM = b"".join(
    [
        start(),
        delta({"reasoningContent": {"text": "Let me "}}),
        delta({"reasoningContent": {"text": "think."}}),
        delta({"reasoningContent": {"signature": "c2ln"}}),
        block_stop(),
        text("Hel", 1),
        text(f"lo {UNICODE}", 1),
        block_stop(1),
        begin_call("tooluse_1", "find", 2),
        delta({"toolUse": {"input": '{"id"'}}, 2),
        delta({"toolUse": {"input": ": 7}"}}, 2),
        block_stop(2),
        begin_call("tooluse_2", "now", 3),
        delta({"toolUse": {"input": ""}}, 3),
        block_stop(3),
        stop("tool_use"),
        metadata(cacheReadInputTokens=30),
    ]
)


def answer(*blocks: dict[str, Any], reason: str = "end_turn", **fields: Any) -> bytes:
    return json.dumps(
        {
            "output": {"message": {"role": "assistant", "content": list(blocks)}},
            "stopReason": reason,
            "usage": {"inputTokens": 12, "outputTokens": 8, "totalTokens": 20},
            "metrics": {"latencyMs": 5},
        }
        | fields
    ).encode()


def choice(*blocks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = (parse_body(answer(*blocks, **fields)).data or {})["choices"][0]
    return found


# --- whole answers --------------------------------------------------------------------------------------------------


def test_an_answer_keeps_its_bytes_and_has_an_id_that_follows_from_them() -> None:
    raw = answer({"text": UNICODE})

    seen = parse_body(raw)

    assert (seen.kind, seen.raw, seen.dialect, seen.usage) == ("body", raw, "bedrock", Usage(input=12, output=8))
    assert seen.data is not None
    assert seen.data["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": UNICODE}, "finish_reason": "stop"}
    ]
    assert seen.data["id"].startswith("chatcmpl-")
    assert seen.data["id"] == (parse_body(raw).data or {})["id"]
    assert seen.data["id"] != (parse_body(answer({"text": "other"})).data or {})["id"]
    assert seen.data["usage"]["total_tokens"] == 20


def test_every_kind_of_block_has_its_place() -> None:
    message_ = choice(
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "AAAA"}},
        {"text": "I "},
        {"text": "look."},
        {"toolUse": {"toolUseId": "t1", "name": "find", "input": {"id": 7}}},
        {"toolUse": {"toolUseId": "t2", "name": "now", "input": {}}},
        reason="tool_use",
    )["message"]

    assert message_ == {
        "role": "assistant",
        "content": "I look.",
        "reasoning_content": "Hm.",
        "thinking_blocks": [
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "AAAA"},
        ],
        "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "find", "arguments": '{"id":7}'}},
            {"id": "t2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
        ],
    }


def test_citations_keep_their_text_and_themselves() -> None:
    cited = {"citationsContent": {"content": [{"text": "Cited."}], "citations": [{"title": "a"}]}}

    message_ = choice(cited, {"novelty": {}})["message"]

    assert (message_["content"], message_["unconverted"]) == ("Cited.", [cited, {"novelty": {}}])


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("refusal", "content_filter"),
        ("something_new", "content_filter"),
    ],
)
def test_a_reason_is_what_it_is(reason: str, finish: str) -> None:
    found = choice({"text": "x"}, reason=reason)

    assert found["finish_reason"] == finish
    assert found.get("native_finish_reason") == (reason if finish == "content_filter" else None)


def test_the_stop_sequence_is_told_where_the_model_tells_it() -> None:
    fields = {"stop_sequence": "END"}

    assert choice({"text": "x"}, reason="stop_sequence", additionalModelResponseFields=fields)["stop_reason"] == "END"
    assert "stop_reason" not in choice({"text": "x"}, additionalModelResponseFields=fields)


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_an_answer_that_the_model_spoilt_is_malformed_and_another_attempt_may_help(reason: str) -> None:
    with pytest.raises(UpstreamMalformed, match=reason) as failed:
        choice(reason=reason)
    assert (failed.value.retryable, failed.value.billed) == (True, "unknown")
    with pytest.raises(UpstreamMalformed, match=reason):
        events_of(Reader(), start() + stop(reason))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b'{"output": {"message": {"content": []}}}',
        b'{"output": {"message": {"content": 5}}, "stopReason": "end_turn"}',
        b'{"output": {"message": {"content": [{"toolUse": {}}]}}, "stopReason": "end_turn"}',
        b'{"output": {}, "stopReason": "end_turn"}',
        b'{"message": "Something went wrong"}',
    ],
)
def test_an_answer_against_the_protocol_is_malformed(payload: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        parse_body(payload)


# --- streams --------------------------------------------------------------------------------------------------------


def test_a_stream_adds_up_to_the_answer() -> None:
    found = body_of(Reader(), STREAM)

    assert found["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": f"Hello {UNICODE}",
                "reasoning_content": "Let me think.",
                "thinking_blocks": [{"type": "thinking", "thinking": "Let me think.", "signature": "c2ln"}],
                "tool_calls": [
                    {"id": "tooluse_1", "type": "function", "function": {"name": "find", "arguments": '{"id": 7}'}},
                    {"id": "tooluse_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
                ],
            },
            "finish_reason": "tool_calls",
        }
    ]
    assert found["usage"]["prompt_tokens"] == 42


def test_usage_comes_once_at_the_end_and_without_a_choice() -> None:
    events = events_of(Reader(), STREAM)

    assert [seen.kind for seen in events[-2:]] == ["chunk", "done"]
    assert [seen.is_usage_only for seen in events].count(True) == 1
    assert events[-2].usage == Usage(input=12, cache_read=30, output=8)


@quick
@given(cuts)
def test_a_stream_means_the_same_however_it_was_cut(places: list[int]) -> None:
    assert events_of(Reader(), *pieces(STREAM, places)) == events_of(Reader(), STREAM)


def test_a_stream_that_stops_at_any_byte_before_its_reason_is_cut() -> None:
    before_reason = len(STREAM) - len(stop("tool_use") + metadata(cacheReadInputTokens=30))
    for end in range(0, before_reason, 11):
        with pytest.raises(UpstreamCut) as failed:
            events_of(Reader(), STREAM[:end])
        assert failed.value.billed == "unknown"


def test_a_stream_that_loses_only_its_counts_is_whole_and_uncounted() -> None:
    events = events_of(Reader(), start(), text("x"), block_stop(), stop(), metadata()[:20])

    assert events[-1].kind == "done"
    assert all(seen.usage is None for seen in events)


def test_nothing_that_follows_the_end_is_read() -> None:
    assert events_of(Reader(), STREAM + b"garbage" * 10)[-1].kind == "done"
    assert list(Reader().feed(STREAM + STREAM)) == list(Reader().feed(STREAM))


def test_a_stream_has_not_begun_before_something_is_said() -> None:
    kinds_ = [seen.kind for seen in events_of(Reader(), start(), text("x"), block_stop(), stop(), metadata())]

    assert kinds_[:2] == ["comment", "chunk"]
    assert body_of(Reader(), start(), stop(), metadata())["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
    }


def test_redacted_reasoning_and_unknown_deltas_are_kept() -> None:
    found = body_of(
        Reader(),
        start(),
        delta({"reasoningContent": {"redactedContent": "AAAA"}}),
        block_stop(),
        delta({"citation": {"title": "a"}}, 1),
        text("x", 1),
        block_stop(1),
        event("noveltyEvent", {"a": 1}),
        stop(),
        metadata(),
    )["choices"][0]["message"]

    assert found["thinking_blocks"] == [{"type": "redacted_thinking", "data": "AAAA"}]
    assert found["unconverted"] == [{"citation": {"title": "a"}}]
    assert found["content"] == "x"


@pytest.mark.parametrize(
    ("data", "status", "retryable"),
    [
        (exception("throttlingException", "Too many requests."), 429, True),
        (exception("modelStreamErrorException", "The model failed."), 502, True),
        (exception("internalServerException", "Oops."), 500, True),
        (exception("serviceUnavailableException", "Later."), 503, True),
        (exception("validationException", "Input is too long."), 400, False),
        (exception("futureException", "?"), 200, True),
        (error("InternalError", "An internal error occurred."), 200, True),
    ],
)
def test_an_exception_inside_a_stream_is_a_rejection(data: bytes, status: int, retryable: bool) -> None:
    with pytest.raises(UpstreamRejected) as failed:
        events_of(Reader(), start(), text("x"), data)

    assert (failed.value.status, failed.value.retryable) == (status, retryable)


def test_a_validation_error_inside_a_stream_keeps_its_message() -> None:
    with pytest.raises(UpstreamRejected, match="Input is too long"):
        events_of(Reader(), exception("validationException", "Input is too long."))


def spoil(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


def test_a_spoilt_byte_is_noticed_wherever_it_is() -> None:
    whole = start() + text("x") + stop() + metadata()
    for at in range(0, len(whole), 3):
        with pytest.raises(UpstreamError):
            events_of(Reader(), spoil(whole, at))


@pytest.mark.parametrize(
    "data",
    [
        message({}, b"{}"),
        message({":message-type": "novelty"}, b"{}"),
        message({":message-type": "event", ":event-type": "messageStop"}, b"{}"),
        message({":message-type": "event", ":event-type": "messageStop"}, b"5"),
        event("contentBlockDelta", {"delta": {"text": "x"}}),
        event("contentBlockDelta", {"contentBlockIndex": -1, "delta": {"text": "x"}}),
        event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{"}}}),
        event("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"name": "x"}}}),
        b"data: not an event stream at all\n\n",
    ],
)
def test_an_event_against_the_protocol_is_malformed(data: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        events_of(Reader(), start(), data, stop(), metadata())


# --- errors ---------------------------------------------------------------------------------------------------------


def test_the_exception_is_named_in_a_header_or_in_the_body() -> None:
    headers = {"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/"}
    throttled = parse_error(429, headers, b'{"message": "Too many requests for account 123."}', NOW_S)
    invalid = parse_error(400, {}, b'{"__type": "com.amazon#ValidationException", "Message": "Bad field."}', NOW_S)

    assert (throttled.status, throttled.retryable, throttled.code) == (429, True, "ThrottlingException")
    assert "123" not in str(throttled)
    assert (invalid.status, invalid.retryable, invalid.code, str(invalid)) == (
        400, False, "ValidationException", "Bad field.",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "name", "becomes", "retryable"),
    [
        (424, "ModelErrorException", 502, True),
        (400, "ServiceQuotaExceededException", 429, True),
        (400, "ThrottlingException", 429, True),
        (403, "ExpiredTokenException", 403, True),
        (403, "AccessDeniedException", 403, True),
        (404, "ResourceNotFoundException", 404, False),
        (408, "ModelTimeoutException", 504, True),
        (429, "ModelNotReadyException", 429, True),
        (418, "NovelException", 418, False),
    ],
)
def test_what_another_attempt_may_mend_is_retried(status: int, name: str, becomes: int, retryable: bool) -> None:
    failed = parse_error(status, {"x-amzn-errortype": name}, b'{"message": "x"}', NOW_S)

    assert (failed.status, failed.retryable) == (becomes, retryable)


def test_the_time_to_wait_is_kept() -> None:
    assert parse_error(429, {"retry-after": "7"}, b"", NOW_S).retry_after_s == 7


# --- usage and money ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [None, {}, {"inputTokens": 5}, {"inputTokens": "5", "outputTokens": 2}])
def test_counts_that_are_none_are_no_usage(counts: Any) -> None:
    assert parse_usage(counts) is None


SONNET = (
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0"  # 3.30 in, 0.33 read, 4.125 written, 6.60 for an hour, 16.50 out
)
NOVA = "amazon.nova-pro-v1:0"  # 0.80 in, 0.20 read, 3.20 out
GOLDEN: list[tuple[str, dict[str, Any], Usage, int]] = [
    (SONNET, {"inputTokens": 1000, "outputTokens": 100}, Usage(input=1000, output=100), 1000 * 3300 + 100 * 16_500),
    # Reads and writes are beside the input, not inside it.
    (
        SONNET,
        {"inputTokens": 10, "outputTokens": 100, "cacheReadInputTokens": 8000, "cacheWriteInputTokens": 2000},
        Usage(input=10, cache_read=8000, cache_write_5m=2000, output=100),
        10 * 3300 + 8000 * 330 + 2000 * 4125 + 100 * 16_500,
    ),
    (
        SONNET,
        {
            "inputTokens": 10,
            "outputTokens": 1,
            "cacheWriteInputTokens": 3001,
            "cacheDetails": [{"ttl": "1h", "inputTokens": 1000}, {"ttl": "5m", "inputTokens": 2001}],
        },
        Usage(input=10, cache_write_5m=2001, cache_write_1h=1000, output=1),
        10 * 3300 + 2001 * 4125 + 1000 * 6600 + 16_500,
    ),
    (
        NOVA,
        {"inputTokens": 7, "outputTokens": 3, "cacheReadInputTokens": 100},
        Usage(input=7, cache_read=100, output=3),
        7 * 800 + 100 * 200 + 3 * 3200,
    ),
]


@pytest.mark.parametrize(("model", "counts", "usage", "nano"), GOLDEN)
def test_usage_is_priced_to_the_nano_dollar(model: str, counts: dict[str, Any], usage: Usage, nano: int) -> None:
    found = parse_usage(counts)

    assert found == usage
    prices = Priced("aws", model).list_prices(datetime(2026, 6, 1, tzinfo=UTC), usage.all_input)
    assert prices is not None
    assert cost_nano(usage, prices) == nano


# --- anything at all ------------------------------------------------------------------------------------------------

names = st.sampled_from(
    "output message content text toolUse toolUseId name input reasoningContent reasoningText redactedContent signature "
    "stopReason usage inputTokens outputTokens cacheDetails contentBlockIndex start delta citation type ttl".split()
)
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
kinds = st.sampled_from(
    "messageStart contentBlockStart contentBlockDelta contentBlockStop messageStop metadata novelty".split()
)
odd_events = (
    st.builds(event, kinds, odd)
    | st.builds(lambda part, at: delta(part, at), st.dictionaries(names, odd, max_size=2), st.integers(-1, 2))
    | st.sampled_from([start(), text("x"), begin_call("t", "f"), block_stop(), stop(), metadata(), exception("a", "b")])
    | st.builds(message, st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=2), st.binary(max_size=9))
    | st.binary(max_size=20)
)


def whole_message(total: int) -> bytes:
    """A prelude of this total length, with a proper checksum."""
    prelude = struct.pack(">II", total, 0)
    return prelude + struct.pack(">I", crc32(prelude)) + b"\0" * 40


@quick
@given(st.lists(odd_events, max_size=8).map(b"".join), cuts)
@example(whole_message(0), [])
@example(whole_message(4), [])
@example(whole_message(12), [])
@example(whole_message(2**32 - 1), [])
def test_any_stream_ends_or_fails_likewise_however_it_was_cut(data: bytes, places: list[int]) -> None:
    def told(*chunks: bytes) -> Any:
        try:
            events = events_of(Reader(), *chunks)
        except UpstreamError as failed:
            return type(failed), str(failed)
        assert events[-1].is_last
        return events

    assert told(*pieces(data, places)) == told(data)


@quick
@given(odd.map(json.dumps).map(str.encode) | st.binary(max_size=60))
def test_any_answer_is_understood_or_refused_in_our_own_words(payload: bytes) -> None:
    try:
        seen = parse_body(payload)
    except UpstreamError:
        return
    assert seen.text_bytes >= 0


@quick
@given(st.lists(st.dictionaries(names, odd, max_size=2), max_size=3), st.text(max_size=9), odd, odd)
def test_any_blocks_are_understood_or_refused(blocks: list[Any], reason: str, usage: Any, fields: Any) -> None:
    try:
        seen = parse_body(answer(*blocks, reason=reason, usage=usage, additionalModelResponseFields=fields))
    except UpstreamError:
        return
    assert seen.finish_reasons


@quick
@given(st.integers(300, 599), st.text(max_size=9), odd)
def test_any_error_is_a_rejection(status: int, name: str, said: Any) -> None:
    assert parse_error(status, {"x-amzn-errortype": name}, json.dumps(said).encode(), NOW_S).status
