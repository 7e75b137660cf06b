"""Every protocol's reader before every surface's writer, with streams that were right until somebody dropped, doubled,
swapped, spoilt or cut something: a typed error or an answer with a proper end, and the same one however the bytes were
cut."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.chat import ChatEvent
from router.errors import UpstreamError
from router.protocols import openai as canonical
from router.protocols import wire_format
from router.surfaces import anthropic, openai, responses
from router.surfaces.surface import Surface
from tests.app.simulators.anthropic import events as claude_events
from tests.app.simulators.anthropic import message, text, thinking, tool_use
from tests.router import aws_events
from tests.router.samples import request
from tests.router.streams import events_of, pieces

Payload = tuple[str, Any]
"""The name of an event, where its stream has names, and what it says."""
SURFACES: Final[tuple[Surface, ...]] = (openai, anthropic, responses)


@dataclass(frozen=True)
class Stream:
    """A right stream. `ends` are the places of the events without which it has no proper end."""

    payloads: tuple[Payload, ...]
    frame: Callable[[str, bytes], bytes]
    ends: tuple[int, ...]


def _data(_name: str, payload: bytes) -> bytes:
    return b"data: " + payload + b"\n\n"


def _named(name: str, payload: bytes) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + payload + b"\n\n"


def _line(_name: str, payload: bytes) -> bytes:
    return payload + b"\n"


def _aws(name: str, payload: bytes) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return aws_events.message(headers, payload)


def _chunk(delta: Any, finish: str | None = None, **more: Any) -> Payload:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return "", {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}


def _call(index: int, arguments: str, **first: Any) -> dict[str, Any]:
    named = {"name": "find", "arguments": arguments} if first else {"arguments": arguments}
    return {"tool_calls": [{"index": index, **first, "function": named}]}


_CHAT = (
    _chunk({"role": "assistant", "content": ""}),
    _chunk({"reasoning_content": "Hm."}),
    _chunk({"content": "é\u2028🙂"}),
    _chunk({"audio": {"id": "audio_1", "data": "AA==", "transcript": "x", "expires_at": 1}}),
    _chunk(_call(0, "", id="c1", type="function")),
    _chunk(_call(0, '{"id": 7}')),
    _chunk({}, "tool_calls"),
    _chunk(None, usage={"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"audio_tokens": 2}}),
)


def _claude() -> Iterator[Payload]:
    answer = message(
        thinking("Hm."),
        text("é\u2028", citations=[{"type": "char_location", "cited_text": "x"}]),
        tool_use("t1", "find", id=7),
        stop="tool_use",
    )
    for event in claude_events(answer):
        payload = json.loads(event.partition(b"data: ")[2])
        yield payload["type"], payload


def _candidate(*parts: Any, **fields: Any) -> Payload:
    counts = {"promptTokenCount": 9, "candidatesTokenCount": 3, "promptTokensDetails": [{"modality": "AUDIO"}]}
    candidate = {"index": 0, "content": {"role": "model", "parts": list(parts)}, **fields}
    return "", {"candidates": [candidate], "usageMetadata": counts, "modelVersion": "gemini-3", "responseId": "r"}


_GEMINI = (
    _candidate({"text": "Hm.", "thought": True}),
    _candidate({"text": "é\u2028"}, {"inlineData": {"mimeType": "audio/pcm", "data": "AA=="}}),
    _candidate({"functionCall": {"name": "find", "args": {"id": 7}}, "thoughtSignature": "c2ln"}),
    _candidate({"text": ""}, finishReason="STOP", groundingMetadata={"webSearchQueries": ["x"]}),
)
_BEDROCK: tuple[Payload, ...] = (
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Hm."}}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "c2ln"}}}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "é\u2028"}}),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    ("contentBlockStart", {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "t1", "name": "find"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"id": 7}'}}}),
    ("contentBlockStop", {"contentBlockIndex": 2}),
    ("messageStop", {"stopReason": "tool_use"}),
    ("metadata", {"usage": {"inputTokens": 9, "outputTokens": 3, "totalTokens": 12}}),
)


def _said(content: str = "", *, done: bool = False, **fields: Any) -> Payload:
    said = {"role": "assistant", "content": content, **fields}
    counts = {"done_reason": "stop", "prompt_eval_count": 9, "eval_count": 3} if done else {}
    return "", {"model": "m", "created_at": "2026-06-01T00:00:00Z", "message": said, "done": done, **counts}


_OLLAMA = (
    _said(thinking="Hm."),
    _said("é\u2028"),
    _said(tool_calls=[{"function": {"name": "find", "arguments": {"id": 7}}}]),
    _said(done=True),
)


def _of_response(kind: str, **fields: Any) -> Payload:
    return f"response.{kind}", {"type": f"response.{kind}", **fields}


_ANSWER: dict[str, Any] = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": []}
_FUNCTION = {"type": "function_call", "id": "fc", "call_id": "c1", "name": "find", "arguments": ""}
_RESPONSES = (
    _of_response("created", response=_ANSWER | {"status": "in_progress"}),
    _of_response("reasoning_text.delta", output_index=0, content_index=0, delta="Hm."),
    _of_response("output_text.delta", output_index=1, content_index=0, delta="é\u2028"),
    _of_response("output_text.done", output_index=1, content_index=0, text="é\u2028"),
    _of_response("output_item.added", output_index=2, item=_FUNCTION),
    _of_response("function_call_arguments.delta", output_index=2, delta='{"id": 7}'),
    _of_response("output_item.done", output_index=2, item=_FUNCTION | {"arguments": '{"id": 7}'}),
    _of_response("output_item.done", output_index=3, item={"type": "web_search_call", "id": "ws"}),
    _of_response(
        "completed",
        response=_ANSWER
        | {
            "status": "completed",
            "output": [{"type": "web_search_call", "id": "ws", "action": {"type": "search"}}],
            "usage": {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12},
        },
    ),
)

STREAMS: Final = {
    "openai": Stream(_CHAT, _data, (6,)),
    "azure": Stream(_CHAT, _data, (6,)),
    "anthropic": Stream(tuple(_claude()), _named, (-2,)),
    "gemini": Stream(_GEMINI, _data, (-1,)),
    "bedrock": Stream(_BEDROCK, _aws, (-2,)),
    "ollama": Stream(_OLLAMA, _line, (-1,)),
    "responses": Stream(_RESPONSES, _named, (-1,)),
}
EVERY: Final = pytest.mark.parametrize("protocol", STREAMS)


def written(protocol: str, payloads: list[Payload]) -> bytes:
    frame = STREAMS[protocol].frame
    return b"".join(frame(name, json.dumps(payload).encode()) for name, payload in payloads)


def outcome(protocol: str, *chunks: bytes) -> str:
    """What every surface makes of a stream, or the name of the error that it ends with. Raises whatever is none of
    ours."""
    try:
        events = events_of(wire_format(protocol).Reader(), *chunks)
    except UpstreamError as error:
        return type(error).__name__
    assert events[-1].is_last
    assert [event for event in events if event.is_last] == events[-1:]
    return repr([_on(surface, events) for surface in SURFACES])


def _on(surface: Surface, events: list[ChatEvent]) -> list[Any]:
    """As a stream and as one body, and what the books read of each event."""
    found: list[Any] = [(event.usage, event.begun, event.text_bytes, event.finish_reasons) for event in events]
    try:
        writer = surface.Writer(request(), "req_1")
        found.append(b"".join(writer.write(event) for event in events))
        found.append(surface.body(canonical.body_from_events(events), request(), "req_1"))
        if all(event.dialect == surface.DIALECT for event in events):
            found.append(surface.own_body(events))
    except UpstreamError as error:
        found.append(type(error).__name__)
    return found


@EVERY
def test_a_right_stream_is_read_to_its_end_and_written_everywhere(protocol: str) -> None:
    found = outcome(protocol, written(protocol, list(STREAMS[protocol].payloads)))

    assert "Upstream" not in found
    assert "find" in found


@EVERY
def test_a_stream_that_comes_byte_by_byte_is_the_same(protocol: str) -> None:
    stream = written(protocol, list(STREAMS[protocol].payloads))

    assert outcome(protocol, *(stream[at : at + 1] for at in range(len(stream)))) == outcome(protocol, stream)


@EVERY
def test_a_stream_without_the_event_that_ends_it_is_cut(protocol: str) -> None:
    payloads = list(STREAMS[protocol].payloads)
    for at in STREAMS[protocol].ends:
        kept = payloads[:at] + payloads[at % len(payloads) + 1 :]

        assert outcome(protocol, written(protocol, kept)) in ("UpstreamCut", "UpstreamMalformed")


@EVERY
def test_a_stream_that_ends_at_any_byte_before_that_event_is_cut(protocol: str) -> None:
    payloads = list(STREAMS[protocol].payloads)
    stream = written(protocol, payloads[: STREAMS[protocol].ends[0] % len(payloads)])

    for end in range(len(stream) + 1):
        assert outcome(protocol, stream[:end]) in ("UpstreamCut", "UpstreamMalformed")


# --- spoilt --------------------------------------------------------------------------------------------------------

HOSTILE: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, 10**400, 1e308, -0.0, 1.5, "", "x", "\x00", "\u2028",
    "9" * 50, "=", [], {}, [None], [[]], [{}], {"type": None}, {"type": "x"}, {"index": -1}, {"text": {}},
)  # fmt: skip
Edit = Callable[[list[Payload]], None]


def _dropped(at: int) -> Edit:
    def edit(payloads: list[Payload]) -> None:
        if payloads:
            del payloads[at % len(payloads)]

    return edit


def _doubled(at: int, to: int) -> Edit:
    def edit(payloads: list[Payload]) -> None:
        if payloads:
            payloads.insert(to % (len(payloads) + 1), copy.deepcopy(payloads[at % len(payloads)]))

    return edit


def _swapped(at: int, to: int) -> Edit:
    def edit(payloads: list[Payload]) -> None:
        if payloads:
            one, other = at % len(payloads), to % len(payloads)
            payloads[one], payloads[other] = payloads[other], payloads[one]

    return edit


def _spoilt(at: int, places: list[int], value: Any) -> Edit:
    """Something deep in an event is another value."""

    def edit(payloads: list[Payload]) -> None:
        if not payloads:
            return
        within: Any = payloads[at % len(payloads)][1]
        for place in places:
            names: list[Any] = list(within) if isinstance(within, dict) else list(range(len(within)))
            if not names:
                return
            name = names[place % len(names)]
            if not isinstance(within[name], dict | list) or place == places[-1]:
                within[name] = copy.deepcopy(value)
                return
            within = within[name]

    return edit


numbers = st.integers(0, 40)
edits = st.one_of(
    st.builds(_dropped, numbers),
    st.builds(_doubled, numbers, numbers),
    st.builds(_swapped, numbers, numbers),
    st.builds(_spoilt, numbers, st.lists(numbers, min_size=1, max_size=5), st.sampled_from(HOSTILE)),
    st.builds(_spoilt, numbers, st.lists(numbers, min_size=1, max_size=5), st.sampled_from(HOSTILE)),
)
many = settings(deadline=None, max_examples=250)


@EVERY
@many
@given(st.lists(edits, min_size=1, max_size=3), st.lists(st.integers(0, 5_000), max_size=4))
def test_a_spoilt_stream_is_an_answer_or_a_typed_error_however_it_is_cut(
    protocol: str, changes: list[Edit], cuts: list[int]
) -> None:
    payloads = copy.deepcopy(list(STREAMS[protocol].payloads))
    for change in changes:
        change(payloads)
    stream = written(protocol, payloads)

    assert outcome(protocol, *pieces(stream, cuts)) == outcome(protocol, stream)


@EVERY
@many
@given(st.integers(0, 5_000), st.binary(max_size=6), st.integers(0, 8), st.lists(st.integers(0, 5_000), max_size=4))
def test_bytes_that_were_changed_on_the_way_are_an_answer_or_a_typed_error(
    protocol: str, at: int, junk: bytes, length: int, cuts: list[int]
) -> None:
    """Bad UTF-8, broken JSON, broken checksums."""
    stream = written(protocol, list(STREAMS[protocol].payloads))
    place = at % len(stream)
    changed = stream[:place] + junk + stream[place + length :]

    assert outcome(protocol, *pieces(changed, cuts)) == outcome(protocol, changed)


@EVERY
@settings(deadline=None, max_examples=100)
@given(st.integers(0, 40), st.lists(st.integers(0, 40), min_size=1, max_size=5), st.integers(200, 20_000))
def test_what_is_nested_without_end_is_a_typed_error(protocol: str, at: int, places: list[int], depth: int) -> None:
    payloads = copy.deepcopy(list(STREAMS[protocol].payloads))
    _spoilt(at, places, "NESTED")(payloads)
    stream = b"".join(
        STREAMS[protocol].frame(name, json.dumps(payload).encode().replace(b'"NESTED"', b"[" * depth + b"]" * depth))
        for name, payload in payloads
    )

    outcome(protocol, stream)
