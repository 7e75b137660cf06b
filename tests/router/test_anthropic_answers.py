"""What reading and writing Anthropic's answers promises: two forms that say the same, however they are cut, and no half
answer that looks whole."""

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from router.chat import ChatEvent, ChatRequest
from router.errors import UpstreamCut, UpstreamError, UpstreamMalformed, UpstreamRejected
from router.prices import Priced, cost_nano
from router.protocols import anthropic_counts, openai
from router.protocols.anthropic_answers import Reader, canonical_usage, parse_body, parse_error, parse_usage
from router.sse import Blocks, block_data
from router.surfaces import anthropic as surface
from router.surfaces.surface import Failure
from router.usage import Usage
from tests.app.simulators.anthropic import PING, events, message, named, text, thinking, tool_use, usage
from tests.router.samples import AT, quick, request, usages

NOW_S = 1_781_000_000.0
RICH = message(
    thinking("Let me see."),
    {"type": "redacted_thinking", "data": "EmwKAhgB"},
    text("Grüße\u2028\u0085, 👩‍👩‍👧‍👦"),
    tool_use("toolu_1", "find_order", id="ü4", n=[1, 2.5, None]),
    tool_use("toolu_2", "now"),
    stop="tool_use",
    usage=usage(11, 23, read=5, short=3, long=2, output_tokens_details={"thinking_tokens": 4}),
)


def read(chunks: Iterable[bytes]) -> list[ChatEvent]:
    """Every event of a stream that comes in these chunks."""
    reader = Reader()
    found = [event for chunk in chunks for event in reader.feed(chunk)]
    return found if found and found[-1].is_last else [*found, *reader.end()]


def canonical(answer: dict[str, Any]) -> dict[str, Any]:
    data = parse_body(json.dumps(answer).encode()).data
    assert data is not None
    return data


def written(found: Iterable[ChatEvent], asked: ChatRequest | None = None) -> bytes:
    """The stream that a client of Anthropic's dialect gets."""
    writer = surface.Writer(asked or request(), "req_1")
    return b"".join(writer.write(event) for event in found)


def foreign(found: Iterable[ChatEvent]) -> list[ChatEvent]:
    """The same events, had a provider of OpenAI's dialect sent them."""
    kept = [event for event in found if event.kind != "comment" and (event.kind == "done" or event.data is not None)]
    return [
        openai.event_from_chunk(event.data) if event.data is not None else ChatEvent(kind="done", raw=openai.DONE)
        for event in kept
    ]


def assembled(stream: bytes) -> dict[str, Any]:
    """What the official SDK puts together from a stream, all of whose events it accepts."""
    adapter: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    whole: Any = None
    buffers: dict[int, bytes] = {}
    for block in Blocks().feed(stream):
        payload = json.loads(block_data(block) or b"{}")
        if payload["type"] == "ping":
            continue
        event = adapter.validate_python(payload)
        whole = accumulate_event(event=event, current_snapshot=whole, json_bufs=buffers)
    found: dict[str, Any] = Message.model_validate(whole.to_dict()).to_dict()
    return found


# --- two forms of one answer ------------------------------------------------------------------------------------

words = st.text(min_size=1, max_size=20)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words
arguments = st.dictionaries(words, scalars | st.lists(scalars, max_size=2), max_size=3)
thoughts = st.builds(thinking, words, words) | st.builds(
    lambda data: {"type": "redacted_thinking", "data": data}, words
)
calls = st.lists(st.tuples(words.filter(lambda name: name != "json_object"), arguments), max_size=3)
counts = st.integers(0, 10**6)


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    """Reasoning, then a text, then calls: what the canonical form holds in its order."""
    content = draw(st.lists(thoughts, max_size=1)) + [text(words) for words in draw(st.lists(words, max_size=1))]
    content += [tool_use(f"toolu_{at}", name, **{}) | {"input": given} for at, (name, given) in enumerate(draw(calls))]
    has_calls = any(block["type"] == "tool_use" for block in content)
    stop = "tool_use" if has_calls else draw(st.sampled_from(["end_turn", "max_tokens", "refusal"]))
    spent = usage(draw(counts), draw(counts), read=draw(counts), short=draw(counts), long=draw(counts))
    return message(*content, stop=stop, usage=spent)


@quick
@given(answers(), st.integers(1, 9))
def test_a_stream_says_what_the_whole_answer_says(answer: dict[str, Any], size: int) -> None:
    found = read(events(answer, size))
    streamed = openai.body_from_events(found)
    whole = canonical(answer)

    assert plain(streamed["choices"][0]["message"]) == plain(whole["choices"][0]["message"])
    assert streamed["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert streamed["usage"] == whole["usage"]
    assert found[-2].usage == parse_body(json.dumps(answer).encode()).usage == parse_usage(answer["usage"])


def plain(said: dict[str, Any]) -> dict[str, Any]:
    """A canonical message with its calls' arguments as values, and without what says nothing."""
    calls = [
        {**call, "function": {**call["function"], "arguments": json.loads(call["function"]["arguments"])}}
        for call in said.get("tool_calls") or ()
    ]
    return {name: value for name, value in {**said, "tool_calls": calls}.items() if value}


@quick
@given(answers())
def test_an_answer_converted_there_and_back_is_the_same(answer: dict[str, Any]) -> None:
    back = json.loads(surface.body(canonical(answer), request(), "req_1"))

    spent = answer["usage"]
    assert back["content"] == answer["content"]
    assert {name: back[name] for name in ("id", "type", "role", "model", "stop_reason")} == {
        name: answer[name] for name in ("id", "type", "role", "model", "stop_reason")
    }
    assert back["usage"] == {name: spent[name] for name in spent if name != "service_tier"}
    assert Message.model_validate(back).to_dict() == back


@quick
@given(answers(), st.integers(1, 9))
def test_the_official_sdk_puts_the_same_answer_together_from_a_converted_stream(
    answer: dict[str, Any], size: int
) -> None:
    found = assembled(written(foreign(read(events(answer, size)))))

    assert found["content"] == answer["content"]
    assert found["stop_reason"] == answer["stop_reason"]
    for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
        assert found["usage"][name] == answer["usage"][name]


@quick
@given(answers())
def test_a_whole_answer_is_a_stream_where_one_was_asked_for(answer: dict[str, Any]) -> None:
    event = parse_body(json.dumps(answer).encode())

    assert assembled(written([event])) == answer | {"stop_details": None}
    converted = assembled(written([openai.event_from_body(canonical(answer))]))
    assert converted["content"] == answer["content"]


def test_a_whole_answer_of_the_same_dialect_loses_nothing_as_a_stream() -> None:
    cited = text("Yes.", citations=[{"type": "char_location", "cited_text": "y"}])
    odd = message(cited, {"type": "block_of_the_future", "novel": [1]}, novel={"deep": 1}, stop_details=None)

    parts = [json.loads(block_data(block) or b"") for block in Blocks().feed(written([parse_body(_raw(odd))]))]

    assert parts[0]["message"]["novel"] == {"deep": 1}
    assert {"type": "citations_delta", "citation": cited["citations"][0]} in [part.get("delta") for part in parts]
    assert {"type": "block_of_the_future", "novel": [1]} in [part.get("content_block") for part in parts]
    assert parts[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None, "stop_details": None}


@quick
@given(answers(), st.integers(1, 9))
def test_the_events_of_a_stream_add_up_to_the_whole_answer(answer: dict[str, Any], size: int) -> None:
    found = surface.own_body(read(events(answer, size)))

    assert found is not None
    assert json.loads(found) == answer


def test_citations_signatures_and_what_nobody_knows_are_in_the_whole_answer_of_a_stream() -> None:
    cited = text("Sixty days.", citations=[{"type": "char_location", "cited_text": "60"}, {"type": "of_the_future"}])
    future = {"type": "block_of_the_future", "novel": [1, 2.5, None]}
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
    answer = message(thinking("Hm.", "c2ln"), cited, search, future)
    grown = named("content_block_delta", index=3, delta={"type": "delta_of_the_future", "more": 1})
    parts = events(answer)

    found = surface.own_body(read([*parts[:-3], grown, *parts[-3:]]))

    assert found is not None
    assert json.loads(found)["content"] == [thinking("Hm.", "c2ln"), cited, search, {**future, "more": 1}]


def test_counts_that_are_none_do_not_hurt_the_whole_answer_of_a_stream() -> None:
    odd = message(text("Hi."))
    head = named("message_start", message=odd | {"content": [], "stop_reason": None, "usage": [1]})

    found = surface.own_body(read([head, *events(odd)[1:]]))

    assert found is not None
    assert json.loads(found)["usage"] == {"output_tokens": 7}


def test_the_beginning_of_a_stream_tells_the_input_before_anything_is_written() -> None:
    head, *rest = events(message(text("Hi."), usage=usage(100, 9, read=40, long=5)))

    (first,) = Reader().feed(head)

    assert first.begun == Usage(input=100, cache_read=40, cache_write_1h=5, output=1)
    assert first.usage is None
    assert [event.begun for event in read([head, *rest])[1:] if event.begun] == []


def _raw(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer).encode()


# --- however it is cut --------------------------------------------------------------------------------------------


@quick
@given(answers(), st.lists(st.integers(0, 2000), max_size=8))
def test_a_stream_cut_anywhere_is_the_same_events(answer: dict[str, Any], cuts: list[int]) -> None:
    stream = b"".join(events(answer))
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    chunks = [stream[start:end] for start, end in pairwise(places)]

    found = read(chunks)

    assert found == read(events(answer))
    assert b"".join(event.raw for event in found) == stream
    assert written(found) == stream


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_lines_end_in_any_of_three_ways_and_in_no_other(ending: bytes) -> None:
    stream = b"".join(events(RICH)).replace(b"\n", ending)

    # A lone CR at the very end may be half of a CR LF: the end of the bytes decides.
    assert openai.body_from_events(read([stream[:77], stream[77:]])) == openai.body_from_events(read(events(RICH)))


@quick
@given(st.integers(0, len(b"".join(events(RICH)))))
def test_a_stream_that_breaks_off_is_cut_unless_it_had_said_why_it_ends(length: int) -> None:
    stream = b"".join(events(RICH))
    told = stream.index(b"event: message_delta")
    told = stream.index(b"\n\n", told)
    part = stream[:length]

    if length >= told:  # the last event's own blank line may be missing
        assert read([part])[-1].is_last
        return
    with pytest.raises(UpstreamCut) as cut:
        read([part])
    assert cut.value.billed == "unknown"


def test_a_stream_that_stops_without_a_reason_is_cut() -> None:
    parts = [event for event in events(RICH) if b"message_delta" not in event]

    with pytest.raises(UpstreamCut):
        read(parts)


def test_what_nobody_knows_is_passed_on_and_says_nothing() -> None:
    begun = events(message(text("Hi.")))
    parts = [
        PING,
        begun[0],
        named("event_of_the_future", novel=1),
        named("content_block_start", index=0, content_block={"type": "block_of_the_future"}),
        named("content_block_delta", index=0, delta={"type": "delta_of_the_future"}),
        named("content_block_stop", index=0),
        *begun[-2:],
    ]

    found = read(parts)

    assert [event.kind for event in found[:3]] == ["comment", "chunk", "comment"]
    assert written(found) == b"".join(parts)
    body = openai.body_from_events(found)
    assert body["choices"][0]["message"]["unconverted"] == [{"type": "block_of_the_future"}]
    assert openai.plain_answer(body) is None


@pytest.mark.parametrize(
    "parts",
    [
        [named("content_block_delta", index=0, delta={"type": "text_delta", "text": "x"})],
        [named("content_block_start", index=0, content_block={"type": "text", "text": ""})],
        [events(RICH)[0], named("content_block_delta", index=3, delta={"type": "text_delta", "text": "x"})],
        [events(RICH)[0], named("content_block_stop", index=0)],
        [events(RICH)[0], named("content_block_start", index="0", content_block={"type": "text"})],
        [events(RICH)[0], named("content_block_start", index=0, content_block=["text"])],
        [events(RICH)[0], named("content_block_start", index=0, content_block={"type": "text", "text": 5})],
        [named("message_start", message="x")],
        [named("message_start")],
        [named("message_delta", delta={"stop_reason": "end_turn"})],
        [events(RICH)[0], named("message_delta", delta={"stop_reason": 5})],
        [b"data: {\n\n"],
        [b"data: []\n\n"],
        [b"data: \xff\n\n"],
        [b"data: " + b"[" * 100_000 + b"\n\n"],
    ],
)
def test_a_stream_against_the_protocol_is_malformed_and_perhaps_billed(parts: list[bytes]) -> None:
    with pytest.raises(UpstreamMalformed) as failed:
        read(parts)
    assert (failed.value.retryable, failed.value.billed) == (True, "unknown")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
kinds = st.sampled_from(
    "message_start content_block_start content_block_delta content_block_stop message_delta message_stop ping "
    "error".split()
)
fields = st.dictionaries(st.sampled_from("message index content_block delta usage error".split()), values, max_size=3)
wild_events = st.builds(lambda kind, more: named(kind, **more), kinds, fields) | st.sampled_from(events(RICH))


@quick
@given(st.lists(wild_events | st.binary(max_size=30), max_size=12))
def test_whatever_comes_as_a_stream_is_events_or_a_typed_error(parts: list[bytes]) -> None:
    try:
        found = read(parts)
    except UpstreamError:
        return
    assert found[-1].is_last
    assert any(event.finish_reasons for event in found)
    written(foreign(found))
    json.loads(surface.own_body(found) or b"{}")


@quick
@given(values, st.binary(max_size=40))
def test_whatever_comes_as_an_answer_is_an_event_or_a_typed_error(value: Any, junk: bytes) -> None:
    whole = {**RICH, "content": value}
    odd = {
        **RICH,
        "usage": value,
        "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "x", "citations": []}],
    }
    for raw in (junk, _dumped(value), _dumped(whole), _dumped(odd), _dumped({**RICH, "content": [value]})):
        try:
            event = parse_body(raw)
        except UpstreamError:
            continue
        if event.data is not None:
            json.loads(surface.body(event.data, request(), "req_1"))


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


# --- usage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, Usage(input=5, output=2)),
        (
            usage(10, 20, read=3, short=4, long=5, output_tokens_details={"thinking_tokens": 6}),
            Usage(input=10, cache_read=3, cache_write_5m=4, cache_write_1h=5, output=20, reasoning=6),
        ),
        # Servers before the split, and those that give the split alone.
        (
            {"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 7},
            Usage(input=1, output=1, cache_write_5m=7),
        ),
        (
            {"input_tokens": 1, "output_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 7}},
            Usage(input=1, output=1, cache_write_1h=7),
        ),
        # A total that grew after the split was told grew by the dearer kind.
        (
            {**usage(1, 1, short=2, long=3), "cache_creation_input_tokens": 9},
            Usage(input=1, output=1, cache_write_5m=2, cache_write_1h=7),
        ),
        ({**usage(1, 1, short=2), "cache_creation_input_tokens": 9}, Usage(input=1, output=1, cache_write_5m=9)),
        # Reasoning is inside the output.
        (
            usage(1, 4, output_tokens_details={"thinking_tokens": 9}),
            Usage(input=1, output=4, reasoning=4),
        ),
        ({"input_tokens": 5, "output_tokens": None}, None),
        ({"input_tokens": -5, "output_tokens": 2}, None),
        ({"input_tokens": 10**30, "output_tokens": 2}, None),
        ({"input_tokens": True, "output_tokens": 2}, None),
        ("many", None),
        (None, None),
    ],
)
def test_every_kind_of_token_has_a_bucket_of_its_own(payload: Any, found: Usage | None) -> None:
    assert parse_usage(payload) == found


def test_the_end_of_a_stream_may_correct_the_counts_of_its_beginning() -> None:
    parts = events(message(text("Hi."), usage=usage(100, 7, read=50, long=3)))
    parts[-2] = named(
        "message_delta",
        delta={"stop_reason": "end_turn"},
        usage={"input_tokens": 300, "output_tokens": 90, "cache_read_input_tokens": 60, "cache_creation": None},
    )

    found = next(event.usage for event in reversed(read(parts)) if event.usage is not None)

    assert found == Usage(input=300, cache_read=60, cache_write_1h=3, output=90)


@quick
@given(usages)
def test_openai_clients_see_the_same_totals(counted: Usage) -> None:
    seen = openai.parse_usage(canonical_usage(counted))

    assert seen is not None
    assert (seen.input, seen.cache_read, seen.output) == (counted.input, counted.cache_read, counted.output)
    assert seen.all_input == counted.all_input


@pytest.mark.parametrize(
    ("model", "nano"),
    [
        # USD per million: input, read, 5 min, 1 h, output.
        ("claude-opus-4-5", 1001 * 5000 + 2003 * 500 + 307 * 6250 + 409 * 10000 + 503 * 25000),
        ("claude-haiku-4-5", 1001 * 1000 + 2003 * 100 + 307 * 1250 + 409 * 2000 + 503 * 5000),
        ("claude-opus-5-5", 1001 * 4000 + 2003 * 200 + 307 * 5000 + 409 * 8000 + 503 * 20000),
    ],
)
def test_the_catalogue_prices_every_bucket_to_the_nano_dollar(model: str, nano: int) -> None:
    counted = parse_usage(usage(1001, 503, read=2003, short=307, long=409))
    assert counted is not None
    prices = Priced("anthropic", model).list_prices(AT.replace(year=2026, month=11), counted.all_input)

    assert prices is not None
    assert cost_nano(counted, prices) == nano


def test_a_long_prompt_is_priced_at_its_tier() -> None:
    priced = Priced("anthropic", "claude-sonnet-4-5")
    usual, long = priced.list_prices(AT, 1000), priced.list_prices(AT, 200_001)

    assert usual is not None
    assert long is not None
    assert long.input > usual.input


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "said", "seen", "retryable"),
    [
        (400, "invalid_request_error", "messages: bad", (400, "messages: bad"), False),
        (400, "invalid_request_error", "Your credit balance is too low", (402, None), True),
        (401, "authentication_error", "invalid x-api-key", (401, None), True),
        (403, "permission_error", "not for you", (403, None), True),
        (404, "not_found_error", "model: x", (404, "model: x"), False),
        (413, "request_too_large", "too large", (413, "too large"), False),
        (429, "rate_limit_error", "slower", (429, None), True),
        (500, "api_error", "oh", (500, None), True),
        (529, "overloaded_error", "busy", (529, None), True),
    ],
)
def test_a_refusal_is_typed_and_tells_only_what_is_about_the_request(
    status: int, kind: str, said: str, seen: tuple[int, str | None], retryable: bool
) -> None:
    body = json.dumps({"type": "error", "error": {"type": kind, "message": said}}).encode()

    error = parse_error(status, {"retry-after": "7"}, body, NOW_S)

    assert (error.status, error.retryable, error.error_type, error.retry_after_s) == (seen[0], retryable, kind, 7)
    assert (str(error) == said) is (seen[1] is not None)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": 5}', b'{"error": {"type": 5}}', b"\xff"])
def test_a_refusal_without_a_proper_body_is_one_all_the_same(body: bytes) -> None:
    assert parse_error(503, {}, body, NOW_S).status == 503


@pytest.mark.parametrize(
    ("kind", "status"), [("overloaded_error", 529), ("rate_limit_error", 429), ("novel_error", 500), (None, 500)]
)
def test_an_error_in_a_stream_has_the_status_of_its_type(kind: str | None, status: int) -> None:
    for parts in ([], events(RICH)[:4]):
        with pytest.raises(UpstreamRejected) as failed:
            read([*parts, named("error", error={"type": kind, "message": "Busy"})])
        assert (failed.value.status, failed.value.retryable) == (status, True)
    with pytest.raises(UpstreamRejected):
        parse_body(json.dumps({"type": "error", "error": {"type": kind, "message": "Busy"}}).encode())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (409, "conflict_error"),
        (413, "request_too_large"),
        (418, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
    ],
)
def test_a_failure_has_anthropics_body(status: int, kind: str) -> None:
    failure = Failure(status, "server_error", "code", "It failed.", "messages[0]", "req_1")
    body = {"type": "error", "error": {"type": kind, "message": "messages[0]: It failed."}, "request_id": "req_1"}

    assert json.loads(surface.failure_body(failure)) == body
    assert json.loads(block_data(surface.failure_frame(failure)) or b"") == body
    assert surface.failure_frame(failure).startswith(b"event: error\n")


@pytest.mark.parametrize("raw", [b"{}", b"[]", b'{"input_tokens": "5"}', b"", json.dumps(RICH).encode()])
def test_what_is_no_count_is_none(raw: bytes) -> None:
    with pytest.raises(UpstreamMalformed):
        anthropic_counts.parse_body(raw)


def test_a_count_is_no_answer() -> None:
    raw = b'{"input_tokens": 5, "novel": 1}'

    assert anthropic_counts.parse_body(raw).raw == raw
    with pytest.raises(UpstreamMalformed):
        parse_body(raw)


# --- written for clients ----------------------------------------------------------------------------------------------


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> ChatEvent:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return openai.event_from_chunk({"id": "chatcmpl-7", "model": "m", "choices": choices, **more})


DONE = ChatEvent(kind="done", raw=openai.DONE)


def test_keep_alives_of_others_are_pings_once_the_message_has_begun() -> None:
    comment = ChatEvent(kind="comment", raw=b": hi\n\n")

    stream = written([comment, chunk({"content": "x"}), comment, chunk({}, "stop"), DONE])

    assert stream.count(b"event: ping\n") == 1
    assert stream.startswith(b"event: message_start\n")


def test_a_stream_of_nothing_is_a_message_without_content() -> None:
    found = assembled(written([chunk({"role": "assistant", "content": ""}), chunk({}, "stop"), DONE]))

    assert (found["content"], found["stop_reason"]) == ([], "end_turn")
    assert assembled(written([DONE]))["content"] == []


@pytest.mark.parametrize(
    ("deltas", "finish", "stop"),
    [
        ([{"content": "x"}], "stop", "end_turn"),
        ([{"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}], "stop", "tool_use"),
        ([{"refusal": "No."}], "stop", "refusal"),
        ([{"content": "x"}], "novel", "novel"),
    ],
)
def test_why_it_ended_follows_from_what_was_written(deltas: list[dict[str, Any]], finish: str, stop: str) -> None:
    stream = written([*map(chunk, deltas), chunk({}, finish), DONE])

    assert f'"stop_reason":"{stop}"'.encode() in stream


def test_a_call_without_an_id_gets_one() -> None:
    call = {"index": 0, "function": {"name": "f", "arguments": "{}"}}

    block = assembled(written([chunk({"tool_calls": [call]}), chunk({}, "tool_calls"), DONE]))["content"][0]

    assert block["id"] == "toolu_1_0"


def test_pieces_of_a_call_that_had_ended_are_no_answer() -> None:
    begun = {"index": 0, "id": "c0", "function": {"name": "f", "arguments": "{"}}
    late = {"index": 0, "function": {"arguments": "}"}}

    with pytest.raises(UpstreamMalformed):
        written([chunk({"tool_calls": [begun]}), chunk({"content": "So:"}), chunk({"tool_calls": [late]})])


def test_only_the_first_of_several_choices_is_written() -> None:
    other = openai.event_from_chunk({"choices": [{"index": 1, "delta": {"content": "other"}}]})

    assert b"other" not in written([chunk({"content": "x"}), other, chunk({}, "stop"), DONE])
