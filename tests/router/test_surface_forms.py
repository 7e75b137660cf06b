"""A stream and a whole answer say the same, on every surface: what clients put together from events is the body."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.chat import ChatEvent, ChatRequest
from router.protocols import openai
from router.surfaces import anthropic, responses
from tests.router.samples import quick, request

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6) | st.sampled_from(
    ["\u2028", "\u0085"]
)
arguments = st.dictionaries(texts, st.none() | st.integers(-9, 9) | texts, max_size=2)


@st.composite
def answers(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The chunks of a whole streamed answer: reasoning, text or a refusal, calls with their arguments in pieces."""
    deltas: list[dict[str, Any]] = [{"role": "assistant"}]
    deltas += [{"reasoning_content": text} for text in draw(st.lists(texts, max_size=2))]
    name = draw(st.sampled_from(["content", "content", "refusal"]))
    deltas += [{name: text} for text in draw(st.lists(texts, max_size=3))]
    calls = draw(st.lists(arguments, max_size=2))
    for at, made in enumerate(calls):
        function = {"name": f"tool_{at}", "arguments": ""}
        deltas.append({"tool_calls": [{"index": at, "id": f"call_{at}", "type": "function", "function": function}]})
        written = json.dumps(made, ensure_ascii=False) if made else draw(st.sampled_from(["", "{}"]))
        cut = draw(st.integers(0, len(written)))
        pieces = [piece for piece in (written[:cut], written[cut:]) if piece]
        deltas += [{"tool_calls": [{"index": at, "function": {"arguments": piece}}]} for piece in pieces]
    finish = draw(st.sampled_from(["stop", "length", "content_filter"])) if not calls else "tool_calls"
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_750_000_000, "model": "m"}
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    usage = {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19}
    return [*({**head, "choices": [choice]} for choice in choices), {**head, "choices": [], "usage": usage}]


def asked(surface: Any, body: dict[str, Any]) -> ChatRequest:
    found: ChatRequest = surface.decode_request(json.dumps(body).encode(), {})
    return found


def streamed(surface: Any, asking: ChatRequest, chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events that a client gets, decoded."""
    writer = surface.Writer(asking, "req_1")
    events = [openai.event_from_chunk(chunk) for chunk in chunks]
    raw = b"".join(writer.write(event) for event in [*events, ChatEvent(kind="done", raw=openai.DONE)])
    blocks = [block for block in raw.split(b"\n\n") if block]
    return [json.loads(block.partition(b"data: ")[2]) for block in blocks]


def whole(surface: Any, asking: ChatRequest, chunks: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(surface.body(openai.body_from_chunks(chunks), asking, "req_1"))
    return found


def message_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    """What a client of Anthropic's puts together."""
    message: dict[str, Any] = events[0]["message"]
    assert [event["type"] for event in (events[0], *events[-2:])] == ["message_start", "message_delta", "message_stop"]
    written = ""
    for event in events[1:-2]:
        match event["type"], event.get("delta"):
            case "content_block_start", _:
                assert event["index"] == len(message["content"])
                message["content"].append(event["content_block"])
                written = ""
            case "content_block_delta", {"type": "text_delta", "text": text}:
                message["content"][event["index"]]["text"] += text
            case "content_block_delta", {"type": "thinking_delta", "thinking": text}:
                message["content"][event["index"]]["thinking"] += text
            case "content_block_delta", {"type": "input_json_delta", "partial_json": piece}:
                written += piece
            case "content_block_stop", _:
                if message["content"][-1]["type"] == "tool_use":
                    message["content"][-1]["input"] = json.loads(written or "{}")
            case other:
                raise AssertionError(other)
    return {**message, **events[-2]["delta"], "usage": events[-2]["usage"]}


@quick
@given(answers())
def test_a_message_is_the_same_as_events_and_as_a_whole(chunks: list[dict[str, Any]]) -> None:
    asking = asked(anthropic, {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]})

    assert message_of(streamed(anthropic, asking, chunks)) == whole(anthropic, asking, chunks)


def test_calls_that_are_written_at_the_same_time_are_told_one_after_the_other() -> None:
    asking = asked(anthropic, {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]})
    begun = [{"index": at, "id": f"call_{at}", "function": {"name": "f", "arguments": ""}} for at in range(2)]
    more = [{"index": at, "function": {"arguments": "{}"}} for at in range(2)]
    deltas = [{"role": "assistant", "tool_calls": begun}, {"tool_calls": more}]
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    chunks = [{"id": "c", "created": 1, "model": "m", "choices": [choice]} for choice in choices]

    assert [block["id"] for block in message_of(streamed(anthropic, asking, chunks))["content"]] == ["call_0", "call_1"]


@quick
@given(answers(), st.booleans())
def test_a_response_is_the_same_as_events_and_as_a_whole(chunks: list[dict[str, Any]], summarises: bool) -> None:
    more = {"reasoning": {"summary": "auto"}} if summarises else {}
    asking = asked(responses, {"model": "m", "input": "?", **more})

    events = streamed(responses, asking, chunks)

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["response"] == whole(responses, asking, chunks)
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == events[-1]["response"]["output"]
    added = [event["item"]["id"] for event in events if event["type"] == "response.output_item.added"]
    assert added == [item["id"] for item in done]


@quick
@given(answers(), st.booleans())
def test_a_chat_is_the_same_as_chunks_and_as_a_whole(chunks: list[dict[str, Any]], wants_usage: bool) -> None:
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": wants_usage}}
    body = openai.body_from_chunks(chunks)

    again = openai.body_from_chunks(openai.chunks_from_body(body, wants_usage))

    assert request(**options).wants_usage == wants_usage
    assert again == (body if wants_usage else {name: value for name, value in body.items() if name != "usage"})
