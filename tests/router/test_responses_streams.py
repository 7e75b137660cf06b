"""What Responses answers and streams promise, both as clients read them and as providers send them."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from router.chat import ChatEvent, ChatRequest
from router.errors import UpstreamCut, UpstreamError, UpstreamMalformed, UpstreamRejected
from router.protocols import openai
from router.protocols import responses as native
from router.sse import Blocks, block_data
from router.surfaces import responses
from router.surfaces.responses_output import response_of
from router.surfaces.surface import Failure
from tests.app.responses_provider import function_call, message, named, response, text_events
from tests.router.samples import quick

UNICODE = "Grüße, 你好\u2028\u0085 👩‍👩‍👧‍👦"
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
DONE = ChatEvent(kind="done", raw=openai.DONE)


def request(**fields: Any) -> ChatRequest:
    return responses.decode_request(json.dumps({"model": "m", "input": "x", "stream": True} | fields).encode(), {})


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> ChatEvent:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    shared = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "up"}
    return openai.event_from_chunk({**shared, "choices": choices, **fields})


def written(events: Iterable[ChatEvent], **fields: Any) -> list[dict[str, Any]]:
    """The named events that these become, checked against the SDK's types."""
    writer = responses.Writer(request(**fields), "req_1")
    return parsed(b"".join(writer.write(event) for event in events))


def parsed(data: bytes) -> list[dict[str, Any]]:
    found = []
    for block in Blocks().feed(data):
        event = json.loads(block_data(block) or b"")
        assert block.startswith(b"event: " + event["type"].encode() + b"\n")
        EVENT.validate_python(event)
        found.append(event)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def read(data: bytes, size: int | None = None) -> list[ChatEvent]:
    """A provider's stream, cut into pieces of this size."""
    reader, events = native.Reader(), []
    for at in range(0, len(data), size or len(data)):
        events += reader.feed(data[at : at + (size or len(data))])
        if events and events[-1].is_last:
            return events
    return events + list(reader.end())


# --- towards clients ------------------------------------------------------------------------------------------

deltas = st.lists(
    st.one_of(
        st.text(min_size=1).map(lambda text: {"content": text}),
        st.text(min_size=1).map(lambda text: {"reasoning_content": text}),
        st.text(min_size=1).map(lambda text: {"refusal": text}),
        st.tuples(st.integers(0, 2), st.text()).map(
            lambda call: {
                "tool_calls": [
                    {"index": call[0], "id": f"c{call[0]}", "function": {"name": f"f{call[0]}", "arguments": call[1]}}
                ]
            }
        ),
        st.just({}),
    ),
    max_size=12,
)
finishes = st.sampled_from(["stop", "length", "tool_calls", "content_filter", None])


@quick
@given(deltas, finishes, st.booleans())
def test_any_stream_is_a_well_formed_one_and_its_last_event_has_all_of_it(
    found: list[dict[str, Any]], finish: str | None, summarises: bool
) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    fields: Any = {"reasoning": {"summary": "auto"}} if summarises else {}

    events = written([*(chunk(delta) for delta in found), chunk({}, finish), chunk(usage=usage), DONE], **fields)

    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == ("response.incomplete" if finish in ("length", "content_filter") else "response.completed")
    final = events[-1]["response"]
    Response.model_validate(final)
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    added = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    assert sorted(item["id"] for item in done) == sorted(item["id"] for item in final["output"])
    assert [item["id"] for item in added] == [item["id"] for item in final["output"]]
    assert len({item["id"] for item in added}) == len(added)
    for name in ("content", "refusal", "reasoning_content"):
        assert texts(events, name) == "".join(delta.get(name, "") for delta in found)
    assert final["usage"]["total_tokens"] == 7


def texts(events: list[dict[str, Any]], name: str) -> str:
    kinds = {
        "content": ["response.output_text.delta"],
        "refusal": ["response.refusal.delta"],
        "reasoning_content": ["response.reasoning_text.delta", "response.reasoning_summary_text.delta"],
    }[name]
    return "".join(event["delta"] for event in events if event["type"] in kinds)


@quick
@given(deltas, finishes)
def test_a_stream_and_its_json_form_say_the_same(found: list[dict[str, Any]], finish: str | None) -> None:
    body = openai.body_from_chunks([dict(chunk(delta).data or {}) for delta in [*found, {}]])
    body["choices"][0]["finish_reason"] = finish

    events = written([openai.event_from_body(body)])

    assert events[-1]["response"] == response_of(body, request(), "req_1")
    Response.model_validate(events[-1]["response"])


def test_a_call_without_arguments_has_an_empty_object() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f"}}

    events = written([chunk({"tool_calls": [call]}), chunk({}, "tool_calls"), DONE])

    assert events[-1]["response"]["output"][0]["arguments"] == "{}"
    assert [e["delta"] for e in events if e["type"] == "response.function_call_arguments.delta"] == ["{}"]


def test_signatures_that_come_in_fragments_are_sealed_together() -> None:
    fragments: list[dict[str, Any]] = [
        {"reasoning_content": "Hm.", "thinking_blocks": [{"index": 0, "type": "thinking", "thinking": "Hm."}]},
        {"thinking_blocks": [{"index": 0, "signature": "si"}]},
        {"thinking_blocks": [{"index": 0, "signature": "g"}]},
        {"content": "Yes."},
    ]

    events = written([*(chunk(delta) for delta in fragments), chunk({}, "stop"), DONE])
    again = request(input=[*events[-1]["response"]["output"], {"role": "user", "content": "y"}])

    assert again.messages[0]["thinking_blocks"][0]["signature"] == "sig"
    assert again.messages[0]["reasoning_content"] == "Hm."


def test_citations_lie_where_clients_look_for_them() -> None:
    inner = {"url": "https://x.invalid", "title": "X", "start_index": 0, "end_index": 2}
    annotation = {"type": "url_citation", "url_citation": inner}

    events = written([chunk({"content": "Hi"}), chunk({"annotations": [annotation]}), chunk({}, "stop"), DONE])

    part = events[-1]["response"]["output"][0]["content"][0]
    assert part["annotations"] == [{"type": "url_citation", **inner}]
    assert "response.output_text.annotation.added" in [event["type"] for event in events]


@pytest.mark.parametrize("before", [[], [chunk({"content": "Half"})]])
def test_a_failure_ends_the_stream_as_failed(before: list[ChatEvent]) -> None:
    writer = responses.Writer(request(), "req_1")
    data = b"".join(writer.write(event) for event in before)

    data += responses.failure_frame(Failure(429, "t", "c", "Too fast.", None, "req_1"), writer)

    last = parsed(data)[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"] == {"code": "rate_limit_exceeded", "message": "Too fast."}
    assert last["response"]["id"] == "resp_1"


# --- from providers of the same API ---------------------------------------------------------------------------


def test_a_stream_is_passed_on_and_understood() -> None:
    data = b"".join(text_events(["One ", UNICODE]))

    events = read(data)

    writer = responses.Writer(request(), "req_1")
    assert b"".join(writer.write(event) for event in events) == data
    body = openai.body_from_events(events)
    assert openai.plain_answer(body) == "One " + UNICODE
    assert (body["id"], body["model"]) == ("resp_up1", "native-2025-01-01")
    (usage,) = [event.usage for event in events if event.usage]
    assert (usage.input, usage.cache_read, usage.output, usage.reasoning) == (30, 10, 9, 3)


STREAM = b"".join(
    [
        b": ping\n\n",
        *text_events([UNICODE, "!"])[:-1],
        named("response.output_item.added", 20, output_index=1, item=function_call("f", "")),
        named("response.function_call_arguments.delta", 21, output_index=1, delta='{"ü'),
        named("response.function_call_arguments.delta", 22, output_index=1, delta='": 1}'),
        named("response.function_call_arguments.done", 23, output_index=1, arguments='{"ü": 1}'),
        named("response.output_item.done", 24, output_index=1, item=function_call("f", '{"ü": 1}')),
        named("response.completed", 25, response=response(message(UNICODE + "!"), function_call("f", '{"ü": 1}'))),
    ]
)


@quick
@given(st.integers(1, 97))
def test_a_stream_cut_anywhere_is_the_same_stream(size: int) -> None:
    assert read(STREAM, size) == read(STREAM)


def test_streamed_and_whole_answers_are_the_same_chat() -> None:
    events = read(STREAM)
    whole = native.parse_body(json.dumps(response(message(UNICODE + "!"), function_call("f", '{"ü": 1}'))).encode())

    body = openai.body_from_events(events)

    assert body["choices"][0]["message"] == (whole.data or {})["choices"][0]["message"]
    assert body["choices"][0]["finish_reason"] == (whole.data or {})["choices"][0]["finish_reason"] == "tool_calls"


def test_what_only_the_end_of_a_text_says_is_not_lost() -> None:
    place = {"item_id": "m", "output_index": 0, "content_index": 0}
    events = text_events(["Hello"])
    events[4] = named("response.output_text.delta", 4, **place, delta="Hel", logprobs=[])
    call = function_call("f", '{"a": 1}', "late")
    events[-1:-1] = [named("response.output_item.done", 9, output_index=1, item=call)]

    body = openai.body_from_events(read(b"".join(events)))

    found = body["choices"][0]["message"]
    assert found["content"] == "Hello"
    assert found["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a": 1}'}


@quick
@given(deltas, st.sampled_from(["stop", "length", "content_filter"]))
def test_what_we_write_our_own_reader_understands(found: list[dict[str, Any]], finish: str) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    events = [*(chunk(delta) for delta in found), chunk({}, finish), chunk(usage=usage), DONE]
    writer = responses.Writer(request(), "req_1")

    again = openai.body_from_events(read(b"".join(writer.write(event) for event in events)))

    (choice,) = again["choices"]
    calls = any("tool_calls" in delta for delta in found)
    assert choice["finish_reason"] == ("tool_calls" if finish == "stop" and calls else finish)
    for name in ("content", "refusal", "reasoning_content"):
        assert (choice["message"].get(name) or "") == "".join(delta.get(name, "") for delta in found)
    assert again["usage"]["total_tokens"] == 7


def test_what_has_no_place_in_a_chat_marks_the_answer() -> None:
    search = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
    events = text_events(["Found."])
    events[-1:-1] = [named("response.output_item.done", 9, output_index=1, item=search)]

    streamed = openai.body_from_events(read(b"".join(events)))
    whole = native.parse_body(json.dumps(response(search, message("Found."))).encode()).data or {}

    for body in (streamed, whole):
        assert body["choices"][0]["message"]["content"] == "Found."
        assert openai.plain_answer(body) is None


# --- ends that are none ---------------------------------------------------------------------------------------


@quick
@given(st.data())
def test_a_stream_that_breaks_off_is_never_complete(data: Any) -> None:
    end = len(STREAM) - 2
    cut = data.draw(st.integers(0, end))

    with pytest.raises(UpstreamCut):
        read(STREAM[:cut], data.draw(st.integers(1, 500)))


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (named("error", 2, code="rate_limit_exceeded", message="m", param=None), 429),
        (named("error", 2, error={"code": "server_error", "message": "m"}), 500),
        (named("response.failed", 2, response={"id": "r", "error": {"code": "invalid_prompt", "message": "m"}}), 400),
        (named("response.failed", 2, response={"id": "r", "error": {"code": None, "message": "m"}}), 500),
    ],
)
def test_an_error_inside_a_stream_is_one(event: bytes, status: int) -> None:
    with pytest.raises(UpstreamRejected) as rejection:
        read(b"".join(text_events(["Half"])[:3]) + event)

    assert rejection.value.status == status
    assert rejection.value.retryable == (status != 400)


@pytest.mark.parametrize("status", ["in_progress", "queued", "of_the_future", None])
def test_an_answer_that_has_not_ended_is_none(status: str | None) -> None:
    with pytest.raises(UpstreamError):
        native.parse_body(json.dumps(response(message("x"), status=status)).encode())


@pytest.mark.parametrize("details", [None, {"reason": "max_output_tokens"}, {"reason": "of_the_future"}, {}])
def test_an_incomplete_answer_is_not_a_whole_one(details: Any) -> None:
    found = response(message("Half"), status="incomplete", incomplete_details=details)

    for event in (
        native.parse_body(json.dumps(found).encode()),
        *read(named("response.incomplete", 0, response=found)),
    ):
        body = event.data or {}
        if body.get("choices"):
            assert body["choices"][0]["finish_reason"] == "length"


@quick
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                "created in_progress output_item.added output_item.done content_part.added output_text.delta "
                "output_text.done refusal.delta function_call_arguments.delta function_call_arguments.done "
                "reasoning_text.delta output_text.annotation.added completed incomplete failed novel".split()
            ),
            st.dictionaries(
                st.sampled_from("response item output_index delta text arguments part annotation".split()),
                st.recursive(
                    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
                    lambda inner: (
                        st.lists(inner, max_size=2)
                        | st.dictionaries(st.sampled_from("id type status output usage error".split()), inner)
                    ),
                    max_leaves=6,
                ),
            ),
        ),
        max_size=6,
    )
)
def test_any_events_are_read_or_a_typed_error(events: list[tuple[str, dict[str, Any]]]) -> None:
    data = b"".join(named(f"response.{kind}", 0, **fields) for kind, fields in events)
    try:
        found = read(data) if data else []
    except UpstreamError:
        return
    assert not found or found[-1].is_last


@quick
@given(st.binary())
def test_any_bytes_are_read_or_a_typed_error(data: bytes) -> None:
    for parse in (lambda: native.parse_body(data), lambda: read(data + b"\n\n")):
        with pytest.raises(UpstreamError):
            parse()


def test_bad_utf_8_is_malformed() -> None:
    with pytest.raises(UpstreamMalformed):
        read(b'data: {"type": "response.output_text.delta", "delta": "\xff"}\n\n')
