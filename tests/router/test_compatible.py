"""What compatible providers have of their own is understood on every surface, and its bytes pass as they came."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.chat import ChatEvent
from router.errors import UpstreamError
from router.protocols import openai
from router.surfaces import anthropic, responses
from tests.router.samples import quick
from tests.router.streams import events_of

HEAD: dict[str, Any] = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def stream(*deltas: dict[str, Any], finish: str = "stop") -> bytes:
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    blocks = [json.dumps({**HEAD, "choices": [choice]}) for choice in choices]
    return b"".join(f"data: {block}\n\n".encode() for block in [*blocks, "[DONE]"])


def whole(**message: Any) -> ChatEvent:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return openai.parse_body(json.dumps({**HEAD, "choices": [choice]}).encode())


def message(event: ChatEvent) -> dict[str, Any]:
    found: dict[str, Any] = (event.data or {})["choices"][0]["message"]
    return found


def together(raw: bytes) -> dict[str, Any]:
    """The message that a stream adds up to; its bytes are those that came."""
    events = events_of(openai.Reader(), raw)
    assert b"".join(event.raw for event in events) == raw
    found: dict[str, Any] = openai.body_from_events(events)["choices"][0]["message"]
    return found


def test_reasoning_has_one_name() -> None:
    found = together(stream({"role": "assistant", "reasoning": "Hm"}, {"reasoning": "."}, {"content": "Yes."}))

    assert (found["reasoning_content"], found["content"], "reasoning" in found) == ("Hm.", "Yes.", False)
    assert message(whole(reasoning="Hm.", content="x"))["reasoning_content"] == "Hm."
    assert message(whole(reasoning="Hm.", reasoning_content="Hm.", content="x"))["reasoning_content"] == "Hm."
    assert "reasoning_content" not in message(whole(reasoning=None, content="x"))


def test_content_in_parts_is_text_and_reasoning() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    text = {"type": "text", "text": "Yes."}

    for found in (
        together(stream({"role": "assistant", "content": [thinking]}, {"content": [text]})),
        message(whole(content=[thinking, text])),
    ):
        assert (found["reasoning_content"], found["content"]) == ("Hm.", "Yes.")
    assert message(whole(content=[text, {"type": "reference", "ids": [1]}]))["unconverted"] == [
        {"type": "reference", "ids": [1]}
    ]


def test_arguments_that_are_an_object_are_written_down() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}

    assert message(whole(content=None, tool_calls=[call]))["tool_calls"][0]["function"]["arguments"] == '{"x":1}'
    assert (
        together(stream({"tool_calls": [{**call, "index": 0}]}))["tool_calls"][0]["function"]["arguments"] == '{"x":1}'
    )


def test_calls_of_a_stream_without_numbers_are_told_apart_by_their_ids() -> None:
    def call(name: str) -> dict[str, Any]:
        return {"id": name, "type": "function", "function": {"name": name, "arguments": ""}}

    more = {"function": {"arguments": "{}"}}

    found = together(stream(*({"tool_calls": [each]} for each in (call("f"), more, call("g"), more))))

    assert [(each["id"], each["function"]["arguments"]) for each in found["tool_calls"]] == [("f", "{}"), ("g", "{}")]


@pytest.mark.parametrize("surface", [anthropic, responses])
def test_both_forms_of_an_answer_say_it_to_every_client(surface: Any) -> None:
    body: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}
    if surface is responses:
        body = {"model": "m", "input": "?"}
    asked = surface.decode_request(json.dumps(body).encode(), {})
    events = events_of(
        openai.Reader(), stream({"reasoning": "I think."}, {"content": [{"type": "text", "text": "Yes."}]})
    )
    writer = surface.Writer(asked, "req_1")

    for said in (
        b"".join(writer.write(event) for event in events),
        surface.body(openai.body_from_events(events), asked, "req_1"),
    ):
        assert b"I think." in said
        assert b"Yes." in said


odd = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("type text thinking function arguments id index".split()), inner, max_size=3)
    ),
    max_leaves=8,
)


@quick
@given(st.dictionaries(st.sampled_from(["reasoning", "content", "tool_calls", "reasoning_content"]), odd))
def test_any_message_is_understood_or_refused_in_our_own_words(said: dict[str, Any]) -> None:
    with suppress(UpstreamError):
        assert whole(**said).is_last
    with suppress(UpstreamError):
        assert events_of(openai.Reader(), stream(said))[-1].is_last
